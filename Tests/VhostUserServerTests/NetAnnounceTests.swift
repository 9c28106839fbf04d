import Host
import HostNetwork
import NetPorts
import Testing
import VhostUserFrontend
import VhostUserServer
import VirtioNet
import VirtioSpec

import func Foundation.NSTemporaryDirectory
import struct Foundation.UUID

@Suite("A guest is announced to its network for a driver that does not do so")
struct NetAnnounceTests {
    private static let mac: [UInt8] = [2, 0, 0, 0, 0, 9]
    /// RFC 903: a request in reverse, to all, about its sender.
    private static let frame: [UInt8] =
        [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 0x80, 0x35]
        + [0, 1, 8, 0, 6, 4, 0, 3, 2, 0, 0, 0, 0, 9, 0, 0, 0, 0, 2, 0, 0, 0, 0, 9, 0, 0, 0, 0]
        + [UInt8](repeating: 0, count: 18)

    @Test("A switch floods it and learns from it")
    func onSwitch() throws {
        let backend = try SwitchBackend([.transparent, .transparent, .transparent])
        let guests = try (0..<3).map { try backend.guest($0) }
        for guest in guests { try guest.offerBuffers(4) }
        try guests[0].connection.sendRARP(Self.mac)
        for guest in guests[1...] { #expect(try guest.receive().packet == Self.frame) }
        let frame = TestFrame.make(to: Self.mac, from: TestFrame.station(1))
        try guests[1].pass(frame)
        #expect(try guests[0].receive().packet == frame)
        #expect(try !guests[2].hasReceived())
    }

    @Test("Rings that do not run send it when they do")
    func whileStopped() throws {
        let backend = try SwitchBackend([.transparent, .transparent])
        let (one, other) = (try backend.guest(0), try backend.guest(1))
        try other.offerBuffers(4)
        let bases = try one.stop()
        try one.connection.sendRARP(Self.mac)
        #expect(try !other.hasReceived())
        for index in 0..<2 { try one.start(index, base: bases[index]) }
        #expect(try other.receive().packet == Self.frame)
        // Once.
        _ = try one.stop()
        for index in 0..<2 { try one.start(index, base: bases[index]) }
        #expect(try !other.hasReceived())
    }

    @Test("A TAP's host sees it, and so does a capture", arguments: [false, true])
    func onTap(legacy: Bool) throws {
        let path = NSTemporaryDirectory() + "ringway-\(UUID().uuidString.prefix(8)).pcapng"
        defer { File.remove(path) }
        try Namespace.own {
            let tap = try TapPort(name: "tap0", queues: 1)
            let witness = try TapPort(name: "tap1", queues: 1)
            try run("ip link add br0 type bridge")
            for name in ["tap0", "tap1"] { try run("ip link set \(name) master br0") }
            try run("ip link set br0 up")
            let capture = try Capture(path: path, limit: 1 << 20)
            let backend = try NetBackend(.tap(tap), capture: capture)
            let driver = try backend.driver {
                $0.legacy = legacy
                $0.mergeable = !legacy
            }
            try driver.connection.sendRARP(Self.mac)
            let memory = try Mapping.anonymous(count: 4096)
            var buffers = IOVectors(capacity: 1)
            let hasRoom = buffers.append(memory, count: 4096)
            #expect(hasRoom)
            var seen: [UInt8] = []
            while seen != Self.frame, waits(for: witness.descriptor(0)) {
                let count = witness.receive(0, into: buffers)
                seen = count > 12 ? memory.bytes(at: 12, count: count - 12) : []
            }
            #expect(seen == Self.frame)
        }
        let file = try File.open(path, [])
        let count = Int(try File.byteCount(file))
        let memory = try Mapping.anonymous(count: max(1, count))
        let got = try File.read(file, at: 0, into: memory, at: 0, count: count)
        #expect(memory.bytes(at: 0, count: got).firstRange(of: Self.frame) != nil)
    }

    @Test("It goes to passt")
    func toPasst() throws {
        let passt = try FakePasst()
        let backend = try NetBackend(.passt(passt.path))
        let driver = try backend.driver()
        try driver.offerBuffers(4)
        let link = try passt.accept()
        try driver.connection.sendRARP(Self.mac)
        #expect(try link.receive(64) == [0, 0, 0, 60] + Self.frame)
    }

    @Test("Where no network is, it is taken and does nothing")
    func nowhere() throws {
        for link in [NetService.Link.null, .loopback] {
            let backend = try NetBackend(link)
            let driver = try backend.driver()
            try driver.offerBuffers(4)
            try driver.connection.sendRARP(Self.mac)
            #expect(try !driver.hasReceived())
        }
    }

    @Test("A driver that can announce itself is not asked where it would not hear of it")
    func cannotTell() throws {
        let backend = try NetBackend(.null) { $0.hasControlQueue = true }
        let driver = try backend.driver { $0.controlQueue = true }
        try driver.connection.sendRARP(Self.mac)
        #expect(try driver.configuration()?.status == NetStatus.linkUp)
        let requests = try driver.connection.openBackendRequests()
        try driver.connection.sendRARP(Self.mac)
        #expect(try requests.receive().request == 2)
        #expect(
            try driver.configuration()?.status == NetStatus.linkUp | NetStatus.announce)
    }

    @Test(
        "What is no station's address is refused",
        arguments: [[1, 0, 0, 0, 0, 9], [0, 0, 0, 0, 0, 0]] as [[UInt8]])
    func noStation(address: [UInt8]) throws {
        let backend = try NetBackend(.null)
        let driver = try backend.driver()
        #expect(throws: FrontendError.refused(19, 1)) {
            try driver.connection.sendRARP(address)
        }
    }
}
