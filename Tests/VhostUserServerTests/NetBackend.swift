import Host
import Logging
import NetPorts
import Synchronization
import VhostUserFrontend
import VhostUserServer
import VirtioNet
import VirtioSpec

import func Foundation.NSTemporaryDirectory
import class Foundation.ProcessInfo
import struct Foundation.UUID

/// A network back-end in this process, on a socket of its own.
final class NetBackend {
    let path: String
    let device: NetDevice
    private let termination: EventFD
    private let thread: Mutex<Thread?>

    init(
        _ link: NetService.Link, workers: WorkerOptions = WorkerOptions(),
        _ change: (inout NetOptions) -> Void = { _ in }
    ) throws {
        var options = NetOptions(mac: MACAddress.random())
        options.takes = .all
        options.gives = .all
        change(&options)
        let device = NetDevice(options)
        path = NSTemporaryDirectory() + "ringway-\(UUID().uuidString.prefix(8)).sock"
        termination = try EventFD()
        let listening = try UnixListener(path: path)
        let listener = Handed(Mutex(listening))
        let end = try termination.descriptor.duplicate().release()
        var logger = Logger(label: "test")
        logger.logLevel =
            ProcessInfo.processInfo.environment["RINGWAY_LOG"] == nil ? .critical : .debug
        let log = logger
        let started = try Thread(name: "server") {
            let server = try? Server(
                NetEngine.self, NetService([device], link), device, workers,
                termination: OwnedFD(adopting: end), logger: log)
            if let listener = listener.take() { server?.run(.listener(listener)) }
        }
        thread = Mutex(started)
        self.device = device
    }

    deinit {
        termination.signal()
        if let thread = thread.withLock({ $0.take() }) { thread.join() }
    }

    func driver(
        _ change: (inout NetDriver.Options) -> Void = { _ in }
    ) throws -> NetDriver {
        var options = NetDriver.Options()
        change(&options)
        return try NetDriver(
            FrontendConnection(path: path), GuestRAM(byteCount: 64 << 20), options)
    }
}

/// A form of a driver's network queues.
struct NetShape: CustomStringConvertible, Sendable {
    var packed = false
    var mergeable = true
    var indirect = false
    var legacy = false

    static let all: [NetShape] =
        [false, true].flatMap { packed in
            [false, true].flatMap { mergeable in
                [
                    NetShape(packed: packed, mergeable: mergeable),
                    NetShape(packed: packed, mergeable: mergeable, indirect: true),
                ]
            }
        } + [NetShape(mergeable: false, legacy: true), NetShape(mergeable: true, legacy: true)]

    func set(_ options: inout NetDriver.Options) {
        options.packed = packed
        options.mergeable = mergeable
        options.indirect = indirect
        options.legacy = legacy
    }

    var description: String {
        var words = [packed ? "packed" : "split", mergeable ? "mergeable" : "whole buffers"]
        if indirect { words.append("indirect") }
        if legacy { words.append("legacy") }
        return words.joined(separator: ", ")
    }
}
