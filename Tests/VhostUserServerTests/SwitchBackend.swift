import EthernetSwitch
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

/// A switch in this process, with a socket for each port.
final class SwitchBackend {
    let paths: [String]
    private let link: SwitchLink
    private let termination: EventFD
    private let thread: Mutex<Thread?>

    /// - Parameter uplink: what is behind the last of `ports`, if no guest is.
    init(
        _ ports: [PortVLANs], uplink: TapPort? = nil,
        _ change: (inout NetOptions) -> Void = { _ in }
    ) throws {
        var options = NetOptions(mac: MACAddress.random())
        options.takes = .all
        options.gives = .all
        change(&options)
        var logger = Logger(label: "test")
        logger.logLevel =
            ProcessInfo.processInfo.environment["RINGWAY_LOG"] == nil ? .critical : .debug
        let loggers = ports.map { _ in logger }
        let link = SwitchLink(SwitchTable(ports: ports), uplink: uplink, loggers: loggers)
        let paths = ports.map { _ in
            NSTemporaryDirectory() + "ringway-\(UUID().uuidString.prefix(8)).sock"
        }
        termination = try EventFD()
        var devices = ports.map { _ in NetDevice(options) }
        if let uplink { devices[ports.count - 1] = Self.device(uplink) }
        let guests = ports.count - (uplink == nil ? 0 : 1)
        let group = try ServerGroup(
            NetEngine.self, NetService(devices, .switch(link)), devices,
            { $0 < guests ? .listener(try UnixListener(path: paths[$0])) : nil }, WorkerOptions(),
            termination: termination.descriptor, logger: logger, loggers: loggers)
        let started = try Thread(name: "switch") { try? group.run() }
        thread = Mutex(started)
        self.paths = paths
        self.link = link
    }

    /// A TAP's own end, whose driver has agreed to all it offers.
    private static func device(_ tap: TapPort) -> NetDevice {
        let device = NetDevice(NetOptions(mac: .random(), takes: tap.gives, gives: tap.takes))
        device.accept(device.features.union(.version1))
        return device
    }

    /// Ends the switch as SIGTERM would, and waits for it.
    func end() {
        termination.signal()
        if let thread = thread.withLock({ $0.take() }) { thread.join() }
    }

    deinit { end() }

    /// What was counted at a port, of every frame whose sender has it back.
    func counters(_ port: Int) -> PortCounters {
        while true {
            // None while a breath goes on, which ends by itself.
            if let counters = link.counters(port) { return counters }
        }
    }

    /// A guest's driver at port `port`.
    func guest(
        _ port: Int, _ change: (inout NetDriver.Options) -> Void = { _ in }
    ) throws -> NetDriver {
        var options = NetDriver.Options()
        change(&options)
        return try NetDriver(
            FrontendConnection(path: paths[port]), GuestRAM(byteCount: 64 << 20), options)
    }
}

/// A frame that a test sends.
enum TestFrame {
    static let broadcast = [UInt8](repeating: 0xff, count: 6)

    /// The address of the station `number`.
    static func station(_ number: UInt8) -> [UInt8] { [2, 0, 0, 0, 0, number] }

    /// - Parameter tags: their control words, outermost first.
    static func make(
        to destination: [UInt8], from source: [UInt8], tags: [UInt16] = [],
        payload: [UInt8] = [8, 0, 1, 2, 3, 4, 5, 6, 7, 8]
    ) -> [UInt8] {
        var bytes = destination + source
        for tag in tags { bytes += [0x81, 0, UInt8(tag >> 8), UInt8(tag & 0xff)] }
        return bytes + payload
    }

    static func make(
        to destination: UInt8, from source: UInt8, tags: [UInt16] = [],
        payload: [UInt8] = [8, 0, 1, 2, 3, 4, 5, 6, 7, 8]
    ) -> [UInt8] {
        make(to: station(destination), from: station(source), tags: tags, payload: payload)
    }
}

extension NetDriver {
    /// Sends a frame and waits until it is taken: what it was given to has it by then.
    func pass(_ frame: [UInt8], header: PacketHeader = PacketHeader()) throws(FrontendError) {
        try send(frame, header: header)
        try waitForSent()
    }

    /// Whether anything was received that was not fetched.
    func hasReceived() throws(FrontendError) -> Bool { try receiveQueue().reap() != nil }
}
