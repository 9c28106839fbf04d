import Testing
import VhostUserFrontend
import VhostUserServer
import VirtioNet
import VirtioSpec

@Suite("Commands on the control queue, from ring to ring")
struct NetControlTests {
    private static let taken: UInt8 = 0
    private static let refused: UInt8 = 1
    private static let other: [UInt8] = [2, 9, 9, 9, 9, 9]
    private static let group: [UInt8] = [1, 0, 0x5e, 1, 2, 3]

    /// A guest whose packets come back to it as far as it wants them.
    private final class Guest {
        let backend: NetBackend
        let driver: NetDriver
        let mac: [UInt8]

        init(
            pairs: Int = 1, packed: Bool = false,
            _ change: (inout NetDriver.Options) -> Void = { _ in }
        ) throws {
            backend = try NetBackend(.loopback) {
                $0.pairs = pairs
                $0.hasControlQueue = true
            }
            driver = try backend.driver {
                $0.pairs = pairs
                $0.controlQueue = true
                $0.packed = packed
                change(&$0)
            }
            mac = backend.device.mac.bytes
            for pair in 0..<pairs { try driver.offerBuffers(64, pair: pair) }
        }

        /// Whether a packet to `address` is received. One that certainly is follows it.
        func receives(
            _ address: [UInt8], tags: [UInt16] = [], before certain: [UInt8]? = nil
        ) throws -> Bool {
            let source = TestFrame.station(7)
            let packet = TestFrame.make(to: address, from: source, tags: tags)
            let last = TestFrame.make(to: certain ?? mac, from: source, payload: [0x88, 0xb5, 1])
            try driver.pass(packet)
            try driver.pass(last)
            let first = try driver.receive().packet
            guard first == packet else {
                #expect(first == last)
                return false
            }
            #expect(try driver.receive().packet == last)
            return true
        }
    }

    @Test("The receive mode says which packets come", arguments: [false, true])
    func receiveMode(packed: Bool) throws {
        let guest = try Guest(packed: packed)
        let driver = guest.driver
        // Promiscuous, until the driver says something else.
        #expect(try guest.receives(Self.other) && guest.receives(Self.group))
        #expect(try driver.control(0, 0, [0]) == Self.taken)
        #expect(try !guest.receives(Self.other) && !guest.receives(Self.group))
        #expect(try guest.receives(guest.mac) && guest.receives(TestFrame.broadcast))
        #expect(try driver.control(0, 1, [1]) == Self.taken)
        #expect(try guest.receives(Self.group) && !guest.receives(Self.other))
        #expect(try driver.control(0, 2, [1]) == Self.taken)
        #expect(try guest.receives(Self.other))
        #expect(try driver.control(0, 3, [1]) == Self.taken)
        #expect(try !guest.receives(Self.group))
        #expect(try driver.control(0, 5, [1]) == Self.taken)
        #expect(try !guest.receives(TestFrame.broadcast))
        #expect(try driver.control(0, 5, [0]) == Self.taken)
        #expect(try driver.control(0, 4, [1]) == Self.taken)
        #expect(try !guest.receives(guest.mac, before: TestFrame.broadcast))
        #expect(try driver.control(0, 0, [1]) == Self.taken)
        #expect(try guest.receives(Self.other))
    }

    @Test("The tables say which other addresses are the driver's", arguments: [false, true])
    func tables(packed: Bool) throws {
        let guest = try Guest(packed: packed)
        #expect(try guest.driver.control(0, 0, [0]) == Self.taken)
        let unicast = Bytes.of(UInt32(2)) + TestFrame.station(3) + Self.other
        let multicast = Bytes.of(UInt32(1)) + Self.group
        #expect(
            try guest.driver.control(1, 0, unicast + multicast, cuts: [1, 1, 20]) == Self.taken)
        #expect(try guest.receives(Self.other) && guest.receives(Self.group))
        #expect(try !guest.receives(TestFrame.station(4)))
        // One that is cut short changes nothing.
        #expect(
            try guest.driver.control(1, 0, (unicast + multicast).dropLast()) == Self.refused)
        #expect(try guest.receives(Self.other))
        let none = Bytes.of(UInt64(0))
        #expect(try guest.driver.control(1, 0, none) == Self.taken)
        #expect(try !guest.receives(Self.other) && !guest.receives(Self.group))
    }

    @Test("The address is the driver's to set, and read back")
    func address() throws {
        let guest = try Guest()
        let old = guest.mac
        #expect(try guest.driver.control(0, 0, [0]) == Self.taken)
        #expect(try guest.driver.control(1, 1, Self.other) == Self.taken)
        #expect(try guest.driver.configuration()?.mac == Self.other)
        #expect(try guest.receives(Self.other, before: TestFrame.broadcast))
        #expect(try !guest.receives(old, before: TestFrame.broadcast))
        #expect(try guest.driver.control(1, 1, Self.group) == Self.refused)
        #expect(try guest.driver.control(1, 1, [2, 2]) == Self.refused)
        #expect(try guest.driver.configuration()?.mac == Self.other)
    }

    @Test("Only the VLANs come that the driver has named")
    func vlans() throws {
        let guest = try Guest()
        #expect(try guest.receives(guest.mac, tags: [5]))
        #expect(try guest.driver.control(0, 0, [0]) == Self.taken)
        #expect(try !guest.receives(guest.mac, tags: [5]))
        #expect(try guest.driver.control(2, 0, [5, 0]) == Self.taken)
        #expect(try guest.receives(guest.mac, tags: [5]))
        #expect(try guest.receives(guest.mac, tags: [0xe005]))
        #expect(try !guest.receives(guest.mac, tags: [6]))
        // A priority alone.
        #expect(try guest.receives(guest.mac, tags: [0xe000]))
        #expect(try guest.driver.control(2, 1, [5, 0]) == Self.taken)
        #expect(try !guest.receives(guest.mac, tags: [5]))
        #expect(try guest.driver.control(2, 0, [0, 0x10]) == Self.refused)
    }

    @Test("Pairs: nothing comes to those that are not in use", arguments: [false, true])
    func pairs(packed: Bool) throws {
        let guest = try Guest(pairs: 3, packed: packed)
        let driver = guest.driver
        func comes(_ pair: Int) throws -> Bool {
            try driver.send([UInt8](repeating: 4, count: 60), pair: pair)
            try driver.waitForSent(pair: pair)
            // Answered by the worker, after what it was at.
            try driver.connection.setVringEnable(UInt32(2 * pair), 1)
            return try driver.receiveQueue(pair).reap() != nil
        }
        #expect(driver.controlIndex == 6)
        #expect(try comes(0) && !comes(1) && !comes(2))
        #expect(try driver.control(4, 0, [2, 0]) == Self.taken)
        #expect(try comes(0) && comes(1) && !comes(2))
        for wrong: [UInt8] in [[4, 0], [0, 0], [0, 1], [3]] {
            #expect(try driver.control(4, 0, wrong) == Self.refused)
        }
        #expect(try comes(0) && comes(1) && !comes(2))
        #expect(try driver.control(4, 0, [1, 0]) == Self.taken)
        #expect(try comes(0) && !comes(1))
        #expect(try driver.control(4, 0, [3, 0]) == Self.taken)
        #expect(try comes(0) && comes(1) && comes(2))
    }

    @Test("All pairs are in use where the front-end keeps the control queue to itself")
    func kept() throws {
        let guest = try Guest(pairs: 2)
        #expect(guest.backend.device.activePairs == 1)
        _ = try guest.driver.connection.vringBase(4)
        #expect(guest.backend.device.activePairs == 2)
        try guest.driver.send([UInt8](repeating: 4, count: 60), pair: 1)
        #expect(try guest.driver.receive(pair: 1).packet.count == 60)
    }

    @Test("Without MQ the control queue follows the first pair, of however many")
    func withoutMultiqueue() throws {
        let backend = try NetBackend(.loopback) {
            $0.pairs = 3
            $0.hasControlQueue = true
        }
        let driver = try backend.driver { $0.controlQueue = true }
        #expect(driver.controlIndex == 2)
        #expect(try driver.control(0, 0, [0]) == Self.taken)
        #expect(try driver.control(4, 0, [1, 0]) == Self.refused)
        #expect(try driver.connection.queueCount() == 3)
    }

    @Test("Offloads that the driver turns off are done for it, from the answer on")
    func offloads() throws {
        let guest = try Guest { $0.offloads = [.netChecksum, .netGuestChecksum] }
        var header = PacketHeader()
        header.flags = NetHeaderFlag.needsChecksum
        header.checksumStart = 34
        header.checksumOffset = 6
        let packet = TestFrame.make(
            to: guest.mac, from: TestFrame.station(7), payload: [UInt8](repeating: 3, count: 60))
        func flags() throws -> UInt8 {
            try guest.driver.pass(packet, header: header)
            return try guest.driver.receive().header.flags & NetHeaderFlag.needsChecksum
        }
        #expect(try flags() == NetHeaderFlag.needsChecksum)
        #expect(try guest.driver.control(5, 0, Bytes.of(UInt64(0))) == Self.taken)
        #expect(try flags() == 0)
        #expect(try guest.driver.control(5, 0, Bytes.of(UInt64(1 << 7))) == Self.refused)
        #expect(try guest.driver.control(5, 0, Bytes.of(UInt64(1 << 1))) == Self.taken)
        #expect(try flags() == NetHeaderFlag.needsChecksum)
    }

    @Test("What is no command is refused, and the next is taken", arguments: [false, true])
    func nonsense(packed: Bool) throws {
        let guest = try Guest(packed: packed)
        let driver = guest.driver
        #expect(try driver.control(0x7f, 0, [1]) == Self.refused)
        #expect(try driver.control(0, 9, [1]) == Self.refused)
        #expect(try driver.control(0, 0) == Self.refused)
        #expect(try driver.control(0, 0, [2]) == Self.refused)
        #expect(try driver.control(0, 0, [UInt8](repeating: 0, count: 20_000)) == Self.refused)
        let queue = try #require(driver.queues.last)
        let place = driver.ram.allocate(16)
        // Half a command; no command; and no room for an answer.
        let chains: [([DriverBuffer], written: UInt32)] = [
            ([.readable(place, 1), .writable(place + 8, 1)], 1), ([.writable(place + 8, 1)], 1),
            ([.readable(place, 3)], 0),
        ]
        for (chain, written) in chains {
            driver.ram.fill(0xee, count: 16, at: place)
            #expect(queue.offer(chain, token: 5) != nil)
            queue.submit()
            try queue.waitForUsed(milliseconds: 10_000)
            #expect(try queue.reap()?.written == written)
            #expect(driver.ram.read(1, at: place + 8) == [written == 1 ? Self.refused : 0xee])
        }
        #expect(try driver.control(0, 0, [0]) == Self.taken)
    }

    @Test("A driver that can is asked to announce itself, and acknowledges it")
    func announce() throws {
        let guest = try Guest()
        let driver = guest.driver
        let requests = try driver.connection.openBackendRequests()
        #expect(try driver.control(3, 0) == Self.refused)
        try driver.connection.sendRARP(guest.mac)
        #expect(try requests.receive().request == 2)
        #expect(try driver.configuration()?.status == NetStatus.linkUp | NetStatus.announce)
        #expect(try driver.control(3, 0) == Self.taken)
        #expect(try driver.configuration()?.status == NetStatus.linkUp)
        #expect(try driver.control(3, 0) == Self.refused)
    }
}
