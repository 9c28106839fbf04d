import EthernetSwitch
import Randomness
import Testing
import VhostUserFrontend
import VhostUserServer
import VirtioSpec

@Suite("An unfinished packet is finished for the guests that do not take it, and for them alone")
struct SwitchOffloadTests {
    /// TCP over IPv4 from station 0, of which its driver has finished nothing.
    private struct Segment {
        let payload: [UInt8]
        let segmentBytes: UInt16
        var destination = TestFrame.broadcast
        /// Between the addresses and the type.
        var tag: [UInt8] = []

        private static let addresses: [UInt8] = [10, 0, 0, 1, 10, 0, 0, 2]
        private var length: Int { 20 + payload.count }
        private var pseudo: [UInt8] { Self.addresses + [0, 6] + Self.word(length) }

        static func word(_ value: Int) -> [UInt8] {
            [UInt8(value >> 8 & 0xff), UInt8(value & 0xff)]
        }

        static func sum(_ bytes: [UInt8]) -> Int {
            var sum = 0
            for index in stride(from: 0, to: bytes.count, by: 2) {
                sum +=
                    Int(bytes[index]) << 8 | (index + 1 < bytes.count ? Int(bytes[index + 1]) : 0)
            }
            while sum > 0xffff { sum = (sum & 0xffff) + (sum >> 16) }
            return sum
        }

        var frame: [UInt8] {
            var ip: [UInt8] = [0x45, 0] + Self.word(20 + length) + [0, 1, 0x40, 0, 64, 6, 0, 0]
            ip += Self.addresses
            ip.replaceSubrange(10..<12, with: Self.word(0xffff - Self.sum(ip)))
            var tcp: [UInt8] = [
                0, 80, 0, 81, 0, 0, 0, 100, 0, 0, 0, 0, 0x50, 0x10, 4, 0, 0, 0, 0, 0,
            ]
            tcp.replaceSubrange(16..<18, with: Self.word(Self.sum(pseudo)))
            return destination + TestFrame.station(0) + tag + [8, 0] + ip + tcp + payload
        }

        var header: PacketHeader {
            var header = PacketHeader()
            header.flags = NetHeaderFlag.needsChecksum
            header.checksumStart = UInt16(34 + tag.count)
            header.checksumOffset = 16
            guard segmentBytes > 0 else { return header }
            header.segmentation = NetSegmentation.tcp4
            header.segmentBytes = segmentBytes
            header.headerLength = UInt16(54 + tag.count)
            return header
        }

        /// Whether a packet from `offset` on has right checksums; returns its payload.
        static func check(_ frame: [UInt8]) -> [UInt8]? {
            let ip = Array(frame[14..<34])
            let tcp = Array(frame[34...])
            guard sum(ip) == 0xffff, Int(ip[2]) << 8 | Int(ip[3]) == frame.count - 14,
                sum(addresses + [0, 6] + word(tcp.count) + tcp) == 0xffff
            else { return nil }
            return Array(tcp[20...])
        }
    }

    private func guests(_ backend: SwitchBackend) throws -> [NetDriver] {
        let guests = try [.netOffloads, .netOffloads, Features(), .netChecksum].enumerated()
            .map { port, offloads in try backend.guest(port) { $0.offloads = offloads } }
        for guest in guests { try guest.offerBuffers(64) }
        return guests
    }

    @Test("A checksum that is left out comes so to one guest, and made to the others")
    func checksum() throws {
        var random = Seeded()
        let backend = try SwitchBackend(Array(repeating: .transparent, count: 4))
        let guests = try guests(backend)
        let segment = Segment(payload: random.bytes(777), segmentBytes: 0)
        try guests[0].pass(segment.frame, header: segment.header)
        let whole = try guests[1].receive()
        #expect(whole.packet == segment.frame && whole.header.flags == NetHeaderFlag.needsChecksum)
        #expect(whole.header.checksumStart == 34 && whole.header.checksumOffset == 16)
        for guest in guests[2...] {
            let made = try guest.receive()
            #expect(made.header.flags == 0)
            #expect(Segment.check(made.packet) == segment.payload, "seed \(random.seed)")
        }
        for guest in guests { #expect(try !guest.hasReceived()) }
    }

    @Test("A packet to be cut comes whole to one guest, and in pieces to the others")
    func segments() throws {
        var random = Seeded()
        let backend = try SwitchBackend(Array(repeating: .transparent, count: 4))
        let guests = try guests(backend)
        let segment = Segment(payload: random.bytes(20_000), segmentBytes: 1448)
        try guests[0].pass(segment.frame, header: segment.header)
        let whole = try guests[1].receive()
        #expect(whole.packet == segment.frame, "seed \(random.seed)")
        #expect(whole.header.segmentation == NetSegmentation.tcp4)
        for guest in guests[2...] {
            var payload: [UInt8] = []
            while payload.count < segment.payload.count {
                let piece = try guest.receive()
                #expect(piece.header.flags == 0 && piece.header.segmentation == 0)
                payload += try #require(Segment.check(piece.packet))
            }
            #expect(payload == segment.payload, "seed \(random.seed)")
        }
    }

    @Test("A tag that is put in or taken off moves what the header says of the packet")
    func tags() throws {
        var random = Seeded()
        let backend = try SwitchBackend([
            .trunk(VLANSet([10...10]), native: 20), .access(10), .access(20), .access(10),
            .trunk(VLANSet([20...20]), native: nil),
        ])
        let offloads: [Features] = [.netOffloads, .netOffloads, .netOffloads, [], .netOffloads]
        let guests = try offloads.enumerated().map { port, offloads in
            try backend.guest(port) { $0.offloads = offloads }
        }
        for guest in guests { try guest.offerBuffers(16) }
        var segment = Segment(payload: random.bytes(500), segmentBytes: 0)
        let bare = segment.frame
        segment.tag = [0x81, 0, 0, 10]
        try guests[0].pass(segment.frame, header: segment.header)
        let taken = try guests[1].receive()
        #expect(taken.packet == bare && taken.header.checksumStart == 34)
        #expect(try Segment.check(guests[3].receive().packet) == segment.payload)
        segment.tag = []
        try guests[0].pass(bare, header: segment.header)
        #expect(try guests[2].receive().packet == bare)
        segment.tag = [0x81, 0, 0, 20]
        let put = try guests[4].receive()
        #expect(put.packet == segment.frame && put.header.checksumStart == 38)
        for guest in guests { #expect(try !guest.hasReceived()) }
    }
}
