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
    /// By which anybody says that the configuration space has changed.
    let changes: ConfigurationSignal
    private let termination: EventFD
    private let thread: Mutex<Thread?>

    private final class Running: Sendable {
        let server: Server
        let endpoint: Mutex<Endpoint?>

        init(_ server: consuming Server, _ endpoint: consuming sending Endpoint) {
            self.server = server
            self.endpoint = Mutex(endpoint)
        }

        func run() {
            if let endpoint = endpoint.withLock({ $0.take() }) { server.run(endpoint) }
        }
    }

    /// - Parameter socket: a connection to serve, instead of those that come.
    init(
        _ link: NetService.Link, workers: WorkerOptions = WorkerOptions(),
        capture: Capture? = nil, on socket: consuming sending UnixSocket? = nil,
        _ change: (inout NetOptions) -> Void = { _ in }
    ) throws {
        var options = NetOptions(mac: MACAddress.random())
        options.takes = .all
        options.gives = .all
        change(&options)
        let device = NetDevice(options)
        path = NSTemporaryDirectory() + "ringway-\(UUID().uuidString.prefix(8)).sock"
        termination = try EventFD()
        var logger = Logger(label: "test")
        logger.logLevel =
            ProcessInfo.processInfo.environment["RINGWAY_LOG"] == nil ? .critical : .debug
        let server = try Server(
            NetEngine.self, NetService([device], link, capture: capture), device, workers,
            termination: termination.descriptor.duplicate(), logger: logger)
        changes = server.changes
        let running: Running
        if let socket {
            running = Running(server, .connected(socket))
        } else {
            running = Running(server, .listener(try UnixListener(path: path)))
        }
        let started = try Thread(name: "server") { running.run() }
        thread = Mutex(started)
        self.device = device
    }

    /// Ends the server as SIGTERM would, and waits for it.
    func end() {
        termination.signal()
        join()
    }

    /// Waits until the server ends by itself.
    func join() {
        if let thread = thread.withLock({ $0.take() }) { thread.join() }
    }

    deinit { end() }

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
