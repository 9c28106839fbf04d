import Randomness
import Testing
import VhostUserFrontend
import VirtioSpec

@Suite(
    "What a network driver does wrong costs it that packet or that queue, and nobody else anything")
struct NetBadInputTests {
    private let marker = [UInt8](repeating: 0x5a, count: 90)

    /// Whether a good packet still goes round.
    private func expectWorking(_ driver: NetDriver) throws {
        try driver.offerBuffers(2)
        try driver.send(marker)
        #expect(try driver.receive().packet == marker)
    }

    /// A receive chain too short for a header comes back empty and its packet is dropped.
    @Test(
        "A receive chain of 1 to 11 bytes is given back empty", arguments: 1...11, [false, true])
    func shortChain(bytes: Int, packed: Bool) throws {
        let backend = try NetBackend(.loopback)
        let driver = try backend.driver { $0.packed = packed }
        try driver.offerBuffers(1, bytes: bytes)
        try driver.send(marker)
        let queue = driver.receiveQueue()
        try queue.waitForUsed(milliseconds: 10_000)
        #expect(try queue.reap()?.written == 0)
        try driver.waitForSent()
        try expectWorking(driver)
    }

    @Test(
        "A receive chain that only the driver writes, of no byte for us, is given back empty",
        arguments: [false, true])
    func readableChain(packed: Bool) throws {
        let backend = try NetBackend(.loopback)
        let driver = try backend.driver { $0.packed = packed }
        let queue = driver.receiveQueue()
        let place = driver.ram.allocate(64)
        #expect(queue.offer([.readable(place, 64)], token: 0) != nil)
        queue.submit()
        try driver.send(marker)
        try queue.waitForUsed(milliseconds: 10_000)
        #expect(try queue.reap()?.written == 0)
        try driver.waitForSent()
        try expectWorking(driver)
    }

    @Test(
        "A header in twelve descriptors of a byte is a header, either way", arguments: NetShape.all)
    func splitHeader(shape: NetShape) throws {
        let backend = try NetBackend(.loopback)
        let driver = try backend.driver(shape.set)
        let ones = [Int](repeating: 1, count: driver.headerBytes)
        try driver.offerBuffers(1, cuts: ones + [200])
        try driver.send(marker, cuts: ones)
        let received = try driver.receive()
        #expect(received.packet == marker)
        if shape.mergeable { #expect(received.header.bufferCount == 1) }
    }

    @Test(
        "A chain to send that is shorter than header and Ethernet header is dropped",
        arguments: [1, 9, 10, 11, 12, 13, 25], [false, true])
    func shortPacket(bytes: Int, packed: Bool) throws {
        let backend = try NetBackend(.loopback)
        let driver = try backend.driver { $0.packed = packed }
        let queue = driver.transmitQueue()
        let buffers = driver.place([UInt8](repeating: 0, count: bytes), cuts: [])
        #expect(queue.offer(buffers, token: 0) != nil)
        queue.submit()
        try driver.waitForSent()
        try expectWorking(driver)
    }

    @Test("A chain to send with nothing to read, or with more than any packet has, is dropped")
    func oversize() throws {
        let backend = try NetBackend(.loopback)
        let driver = try backend.driver()
        let queue = driver.transmitQueue()
        let place = driver.ram.allocate(70_000)
        for buffers in [
            [DriverBuffer.writable(place, 64)], [.readable(place, 12 + 65_551)],
            [.readable(place, 12), .readable(place, 70_000)],
        ] {
            #expect(queue.offer(buffers, token: 0) != nil)
        }
        queue.submit()
        try driver.waitForSent()
        try expectWorking(driver)
    }

    /// Headers that ask for what can't be.
    enum Header: CaseIterable {
        case noSegmentBytes, headerPastPacket, checksumStartPastPacket, checksumOffsetPastPacket
        case unknownSegmentation, segmentsWithoutChecksum, checksumInEthernetHeader

        var header: PacketHeader {
            var header = PacketHeader()
            header.flags = NetHeaderFlag.needsChecksum
            header.checksumStart = 34
            header.checksumOffset = 16
            switch self {
            case .noSegmentBytes:
                header.segmentation = NetSegmentation.tcp4
                header.headerLength = 54
            case .headerPastPacket:
                header.segmentation = NetSegmentation.tcp4
                header.segmentBytes = 10
                header.headerLength = 1000
            case .checksumStartPastPacket: header.checksumStart = 89
            case .checksumOffsetPastPacket: header.checksumOffset = .max
            case .unknownSegmentation:
                header.segmentation = 9
                header.segmentBytes = 10
            case .segmentsWithoutChecksum:
                header.flags = 0
                header.segmentation = NetSegmentation.tcp4
                header.segmentBytes = 10
            case .checksumInEthernetHeader: header.checksumStart = 2
            }
            return header
        }
    }

    @Test(
        "A header that leads out of its packet or asks for the impossible: the packet is dropped",
        arguments: Header.allCases, [Features(), .netOffloads])
    func badHeader(kind: Header, offloads: Features) throws {
        let backend = try NetBackend(.loopback)
        let driver = try backend.driver { $0.offloads = offloads }
        try driver.offerBuffers(4)
        try driver.send(marker, header: kind.header)
        try driver.waitForSent()
        try driver.send(marker)
        let received = try driver.receive()
        #expect(received.packet == marker && received.header.flags == 0)
    }

    @Test(
        "A second receive buffer outside memory breaks that queue; what is sent is still taken",
        arguments: [false, true])
    func unmappedSecondBuffer(packed: Bool) throws {
        let backend = try NetBackend(.loopback)
        let driver = try backend.driver {
            $0.packed = packed
            $0.pairs = 1
        }
        let queue = driver.receiveQueue()
        let good = driver.ram.allocate(100)
        #expect(queue.offer([.writable(good, 100)], token: 0) != nil)
        #expect(queue.offer([.writable(1 << 45, 100)], token: 1) != nil)
        queue.submit()
        try driver.send([UInt8](repeating: 1, count: 150))
        #expect(queue.waitForError())
        try driver.waitForSent()
        for _ in 0..<3 { try driver.send(marker) }
        try driver.waitForSent()
        #expect(try queue.reap() == nil)
    }

    @Test(
        "A receive chain that a generator's packet does not fit is given back empty",
        arguments: [false, true])
    func generated(packed: Bool) throws {
        let backend = try NetBackend(.generator(bytes: 64))
        let driver = try backend.driver { $0.packed = packed }
        try driver.offerBuffers(1, bytes: 5)
        try driver.offerBuffers(1, bytes: 40)
        let queue = driver.receiveQueue()
        for _ in 0..<2 {
            try queue.waitForUsed(milliseconds: 10_000)
            #expect(try queue.reap()?.written == 0)
        }
        try driver.offerBuffers(1, bytes: 200)
        #expect(try driver.receive().packet.count == 64)
    }

    @Test("A chain to send outside memory breaks that queue", arguments: [false, true])
    func unmappedPacket(packed: Bool) throws {
        let backend = try NetBackend(.loopback)
        let driver = try backend.driver { $0.packed = packed }
        let queue = driver.transmitQueue()
        #expect(queue.offer([.readable(1 << 45, 100)], token: 0) != nil)
        queue.submit()
        #expect(queue.waitForError())
    }

    @Test("A packet that is not finished arrives finished where the driver takes no other")
    func finished() throws {
        let backend = try NetBackend(.loopback)
        let driver = try backend.driver { $0.offloads = [.netChecksum] }
        // UDP over IPv4; its checksum's place holds the sum of the pseudo header.
        var packet = [UInt8](repeating: 0, count: 14 + 20 + 8 + 5)
        packet.replaceSubrange(12..<16, with: [8, 0, 0x45, 0])
        packet.replaceSubrange(16..<18, with: [0, 33])
        packet.replaceSubrange(22..<24, with: [64, 17])
        packet.replaceSubrange(26..<34, with: [10, 0, 0, 1, 10, 0, 0, 2])
        packet.replaceSubrange(34..<40, with: [0, 1, 0, 2, 0, 13])
        packet.replaceSubrange(42..<47, with: [1, 2, 3, 4, 5])
        let pseudo = Sum.of([10, 0, 0, 1, 10, 0, 0, 2, 0, 17, 0, 13])
        packet.replaceSubrange(40..<42, with: [UInt8(pseudo >> 8), UInt8(pseudo & 0xff)])
        var header = PacketHeader()
        header.flags = NetHeaderFlag.needsChecksum
        header.checksumStart = 34
        header.checksumOffset = 6
        try driver.offerBuffers(1)
        try driver.send(packet, header: header)
        let received = try driver.receive()
        #expect(received.header.flags == 0)
        let bytes = received.packet
        #expect(Sum.of([10, 0, 0, 1, 10, 0, 0, 2, 0, 17, 0, 13] + bytes[34...] + [0]) == 0xffff)
        #expect(Array(bytes[..<40]) == Array(packet[..<40]) && bytes[42...] == packet[42...])
    }
}

/// The Internet checksum's sum, by its definition.
private enum Sum {
    static func of(_ bytes: [UInt8]) -> Int {
        var sum = 0
        for index in stride(from: 0, to: bytes.count, by: 2) {
            sum += Int(bytes[index]) << 8 | (index + 1 < bytes.count ? Int(bytes[index + 1]) : 0)
        }
        while sum > 0xffff { sum = (sum & 0xffff) + (sum >> 16) }
        return sum
    }
}
