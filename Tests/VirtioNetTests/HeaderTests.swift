import Randomness
import Testing
import VirtioNet
import VirtioSpec

@Suite("A packet's header is judged before it is used")
struct HeaderTests {
    /// A header that is right, of a packet of 1000 bytes, changed.
    private static func isValid(
        _ segmentation: UInt8 = NetSegmentation.tcp4, bytes: Int = 1000,
        offloads: NetOffloads = .all, _ change: (inout NetHeader) -> Void = { _ in }
    ) -> Bool {
        var header = NetHeader.plain
        header.flags = NetHeaderFlag.needsChecksum
        header.checksumStart = 34
        header.checksumOffset = segmentation & 0x7f == NetSegmentation.udpDatagrams ? 6 : 16
        header.segmentation = segmentation
        header.segmentBytes = segmentation == 0 ? 0 : 100
        header.headerLength = segmentation == 0 ? 0 : 54
        change(&header)
        return header.isValid(packetBytes: bytes, offloads: offloads)
    }

    private static let types: [UInt8] = [0, 1, 4, 5, 0x81, 0x84]

    @Test("What drivers send is taken")
    func good() {
        for type in Self.types { #expect(Self.isValid(type)) }
        #expect(NetHeader.plain.isValid(packetBytes: 60, offloads: []))
    }

    @Test("Words and fields are the same bytes")
    func words() {
        let header = NetHeader(words: 0x0102_0304_0506_0708, 0x090a_0b0c)
        #expect(header.words == (0x0102_0304_0506_0708, 0x090a_0b0c))
        #expect(header.flags == 8)
        #expect(header.segmentation == 7)
        #expect(header.headerLength == 0x0506)
        #expect(header.segmentBytes == 0x0304)
        #expect(header.checksumStart == 0x0102)
        #expect(header.checksumOffset == 0x0b0c)
        #expect(header.bufferCount == 0x090a)
        let plain = NetHeader.plain
        #expect(plain.words == (0, 0x1_0000))
        #expect(plain.bufferCount == 1)
    }

    @Test(
        "A packet has an Ethernet header, and an end",
        arguments: [0, 1, 11, 12, 13, 65_551, 1 << 20])
    func size(bytes: Int) {
        #expect(!NetHeader.plain.isValid(packetBytes: bytes, offloads: .all))
        #expect(!Self.isValid(bytes: bytes))
    }

    @Test("The shortest and the longest packet", arguments: [14, 65_550])
    func borders(bytes: Int) {
        #expect(NetHeader.plain.isValid(packetBytes: bytes, offloads: []))
    }

    @Test("Segments of no bytes", arguments: [1, 4, 5, 0x81, 0x84] as [UInt8])
    func noBytes(type: UInt8) {
        #expect(!Self.isValid(type) { $0.segmentBytes = 0 })
        #expect(Self.isValid(type) { $0.segmentBytes = 1 })
        #expect(Self.isValid(type) { $0.segmentBytes = 0xffff })
    }

    @Test("Every type of segmentation that is not known, or that we never offered")
    func everyType() {
        for type in UInt8.min...UInt8.max {
            #expect(Self.isValid(type) == Self.types.contains(type), "\(type)")
        }
    }

    @Test("A checksum's place past the packet", arguments: Self.types)
    func checksumPlace(type: UInt8) {
        let offset = type == 5 ? 6 : 16
        let last = UInt16(1000 - offset - 2)
        #expect(Self.isValid(type) { $0.checksumStart = last })
        for start in [last + 1, 1000, 0x7fff, 0xffff] {
            #expect(!Self.isValid(type) { $0.checksumStart = start })
        }
        #expect(!Self.isValid(type) { $0.checksumStart = 13 })
        #expect(!Self.isValid(type) { $0.checksumStart = 0 })
        for other: UInt16 in [965, 0x7fff, 0xffff] {
            #expect(!Self.isValid(type) { $0.checksumOffset = other })
        }
        #expect(
            !Self.isValid(type) {
                $0.checksumStart = 0xffff
                $0.checksumOffset = 0xffff
            })
    }

    @Test("Where nothing is cut the checksum may be any protocol's")
    func anyOffset() {
        #expect(Self.isValid(0) { $0.checksumOffset = 0 })
        #expect(Self.isValid(0) { $0.checksumOffset = 964 })
        #expect(
            Self.isValid(0, bytes: 16) {
                $0.checksumStart = 14
                $0.checksumOffset = 0
            })
        for type: UInt8 in [1, 4, 5, 0x81, 0x84] {
            for offset: UInt16 in [0, 2, 7, 15, 17, 100] {
                #expect(!Self.isValid(type) { $0.checksumOffset = offset })
            }
        }
    }

    @Test("Headers that are longer than the packet", arguments: Self.types)
    func headerLength(type: UInt8) {
        #expect(Self.isValid(type) { $0.headerLength = 1000 })
        #expect(!Self.isValid(type) { $0.headerLength = 1001 })
        #expect(!Self.isValid(type) { $0.headerLength = 0xffff })
        var header = NetHeader.plain
        header.headerLength = 61
        #expect(!header.isValid(packetBytes: 60, offloads: .all))
        header.headerLength = 60
        #expect(header.isValid(packetBytes: 60, offloads: .all))
    }

    @Test("Segments without a checksum", arguments: [1, 4, 5, 0x81, 0x84, 0x80] as [UInt8])
    func noChecksum(type: UInt8) {
        #expect(!Self.isValid(type) { $0.flags = 0 })
        #expect(!Self.isValid(type) { $0.flags = NetHeaderFlag.dataIsValid })
    }

    @Test("What was not negotiated", arguments: 0..<32 as Range<UInt8>)
    func negotiated(rawValue: UInt8) {
        let offloads = NetOffloads(rawValue: rawValue)
        let needed: [(UInt8, NetOffloads)] = [
            (0, .checksum), (1, [.checksum, .tcp4]), (4, [.checksum, .tcp6]),
            (5, [.checksum, .udpDatagrams]), (0x81, [.checksum, .tcp4, .ecn]),
            (0x84, [.checksum, .tcp6, .ecn]),
        ]
        for (type, needed) in needed {
            #expect(Self.isValid(type, offloads: offloads) == offloads.isSuperset(of: needed))
        }
        #expect(NetHeader.plain.isValid(packetBytes: 60, offloads: offloads))
    }

    @Test("Flags that are not known, and fields that mean nothing, are ignored")
    func ignored() {
        #expect(Self.isValid { $0.flags = 0xff })
        #expect(Self.isValid { $0.bufferCount = 0xffff })
        var header = NetHeader.plain
        header.flags = 0xfe
        header.segmentBytes = 9
        header.checksumStart = 0xffff
        header.checksumOffset = 0xffff
        #expect(header.isValid(packetBytes: 60, offloads: []))
        #expect(header.passedOn == .plain)
    }

    @Test("No valid header leads out of its packet")
    func noise() {
        var random = Seeded()
        var valid = 0
        for _ in 0..<200_000 {
            var header = NetHeader(
                words: random.next(), UInt32(truncatingIfNeeded: random.next()))
            // Often enough something that is known.
            header.segmentation &= 0x85
            header.checksumStart &= 0x7f
            header.checksumOffset &= 0x17
            header.headerLength &= 0x7f
            let bytes = Int.random(in: 0...160, using: &random)
            let offloads = NetOffloads(rawValue: UInt8.random(in: 0...31, using: &random))
            guard header.isValid(packetBytes: bytes, offloads: offloads) else { continue }
            valid += 1
            let isCut = header.segmentation != 0
            let begins = header.flags & 1 != 0
            let end = Int(header.checksumStart) + Int(header.checksumOffset) + 2
            let holds =
                bytes >= 14 && Int(header.headerLength) <= bytes && (!begins || end <= bytes)
                && (!isCut || begins && header.segmentBytes > 0)
                && (!begins || offloads.contains(.checksum))
            #expect(holds, "\(header) of \(bytes), \(random.note)")
        }
        #expect(valid > 1000, "\(random.note)")
    }
}
