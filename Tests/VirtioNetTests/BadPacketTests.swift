import Randomness
import Testing
import VirtioNet
import VirtioSpec

@Suite("A packet that can't be cut is dropped whole")
struct BadPacketTests {
    /// A packet of three segments, changed.
    private static func isRefused(
        _ change: (inout PacketRecipe) -> Void = { _ in },
        bytes patch: (inout [UInt8], PacketRecipe) -> Void = { _, _ in },
        header alter: (inout NetHeader) -> Void = { _ in }
    ) throws -> Bool {
        let bench = try FinisherBench()
        var recipe = PacketRecipe()
        recipe.segmentBytes = 100
        recipe.payload = [UInt8](repeating: 5, count: 300)
        change(&recipe)
        var bytes = recipe.bytes()
        patch(&bytes, recipe)
        var header = recipe.header
        alter(&header)
        // A receiver that takes it whole has to see for itself.
        return bench.finish(bytes, header, for: .checksum) == nil
    }

    @Test("As it is, it can")
    func good() throws {
        #expect(try !Self.isRefused())
        #expect(try !Self.isRefused { $0.isTCP = false })
        #expect(try !Self.isRefused { $0.isIPv4 = false })
    }

    @Test("Cut short anywhere before its end", arguments: 0...7)
    func truncated(kind: Int) throws {
        var random = Seeded()
        let bench = try FinisherBench()
        var recipe = PacketRecipe()
        recipe.isIPv4 = kind & 1 == 0
        recipe.isTCP = kind & 2 == 0
        if kind & 4 != 0 { recipe.tags = [(0x88a8, 5), (0x8100, 6)] }
        recipe.extensions = [(0, [1] + random.bytes(14)), (60, [0] + random.bytes(6))]
        recipe.segmentBytes = 16
        recipe.payload = random.bytes(40)
        let bytes = recipe.bytes()
        for count in 0..<bytes.count {
            let output = bench.finish(Array(bytes.prefix(count)), recipe.header, for: [])
            #expect(output == nil, "\(count) bytes, \(random.note)")
        }
    }

    @Test("Without a length, its headers cut short", arguments: 0...3)
    func truncatedHeaders(kind: Int) throws {
        let bench = try FinisherBench()
        var recipe = PacketRecipe()
        recipe.isIPv4 = kind & 1 == 0
        recipe.isTCP = kind & 2 == 0
        recipe.extensions = [(60, [1] + [UInt8](repeating: 0, count: 14))]
        recipe.saysLength = false
        recipe.segmentBytes = 16
        let bytes = recipe.bytes()
        for count in 0..<bytes.count {
            let output = bench.finish(Array(bytes.prefix(count)), recipe.header, for: [])
            #expect(output == nil, "\(count) bytes")
        }
    }

    @Test("A version, a length or a protocol that is not IPv4's")
    func ipv4() throws {
        // Version 5; a header of 4 words; one that reaches past the packet's.
        for first: UInt8 in [0x55, 0x44, 0x4f] {
            #expect(try Self.isRefused(bytes: { bytes, _ in bytes[14] = first }))
        }
        // A total length shorter than the headers, and one longer than the packet.
        for length: UInt16 in [19, 39, 341, 0xffff] {
            #expect(
                try Self.isRefused(bytes: { bytes, _ in
                    bytes.replaceSubrange(16..<18, with: length.wire)
                }))
        }
        // UDP, and a protocol without checksums.
        for number: UInt8 in [17, 1] {
            #expect(try Self.isRefused(bytes: { bytes, _ in bytes[23] = number }))
        }
    }

    @Test("A fragment", arguments: [0x20, 0x3f, 0x01] as [UInt8])
    func fragment(high: UInt8) throws {
        #expect(try Self.isRefused(bytes: { bytes, _ in bytes[20] = high }))
        #expect(try Self.isRefused(bytes: { bytes, _ in bytes[21] = 1 }))
    }

    @Test("A version or a length that is not IPv6's")
    func ipv6() throws {
        #expect(
            try Self.isRefused({ $0.isIPv4 = false }, bytes: { bytes, _ in bytes[14] = 0x40 }))
        for length: UInt16 in [19, 321, 0xffff] {
            #expect(
                try Self.isRefused({ $0.isIPv4 = false }) { bytes, _ in
                    bytes.replaceSubrange(18..<20, with: length.wire)
                })
        }
    }

    @Test(
        "Extension headers that speak of the packet as a whole, or are none",
        arguments: [44, 50, 51, 59, 135, 1, 58, 255] as [UInt8])
    func unknownExtension(number: UInt8) throws {
        #expect(
            try Self.isRefused {
                $0.isIPv4 = false
                $0.extensions = [(number, [0, 0, 0, 0, 0, 0, 0])]
            })
    }

    @Test("More extension headers than anyone sends", arguments: [8, 9])
    func manyExtensions(count: Int) throws {
        let isRefused = try Self.isRefused {
            $0.isIPv4 = false
            $0.extensions = (0..<count).map { _ in (60, [0, 0, 0, 0, 0, 0, 0]) }
        }
        #expect(isRefused == (count > 8))
    }

    @Test("Headers that are longer than those of any segment")
    func longHeaders() throws {
        #expect(
            try Self.isRefused {
                $0.isIPv4 = false
                $0.extensions = [(60, [63] + [UInt8](repeating: 0, count: 510))]
            })
    }

    @Test("A jumbogram")
    func jumbogram() throws {
        #expect(
            try Self.isRefused {
                $0.isIPv4 = false
                $0.saysLength = false
                $0.extensions = [(0, [0, 0xc2, 4, 0, 1, 0, 0])]
            })
    }

    @Test("Three VLAN tags, or a protocol that is not IP")
    func linkLayer() throws {
        #expect(try Self.isRefused { $0.tags = [(0x8100, 1), (0x8100, 2), (0x8100, 3)] })
        #expect(
            try Self.isRefused(bytes: { bytes, _ in bytes.replaceSubrange(12..<14, with: [8, 6]) }))
    }

    @Test("A TCP header that is too short, or reaches past the packet")
    func tcp() throws {
        for words: UInt8 in [0, 4] {
            #expect(
                try Self.isRefused(bytes: { bytes, recipe in
                    bytes[recipe.transport + 12] = words << 4
                }))
        }
        #expect(
            try Self.isRefused(
                { $0.payload = [1, 2, 3] },
                bytes: { bytes, recipe in bytes[recipe.transport + 12] = 0xf0 }))
    }

    @Test("SYN or RST in more than one segment", arguments: [0x02, 0x04] as [UInt8])
    func beginsOnce(flag: UInt8) throws {
        #expect(try Self.isRefused { $0.flags |= flag })
        #expect(
            try !Self.isRefused {
                $0.flags |= flag
                $0.payload = [1]
            })
    }

    @Test("Segments of so few bytes that they are meant to hurt")
    func crumbs() throws {
        #expect(try Self.isRefused { $0.segmentBytes = 7 })
        #expect(try !Self.isRefused { $0.segmentBytes = 8 })
        #expect(
            try Self.isRefused {
                $0.isTCP = false
                $0.segmentBytes = 2
                $0.payload = [UInt8](repeating: 1, count: 257)
            })
        #expect(
            try !Self.isRefused {
                $0.isTCP = false
                $0.segmentBytes = 2
                $0.payload.removeLast(44)
            })
    }

    @Test("A header that speaks of other headers than the packet has")
    func otherHeader() throws {
        for type: UInt8 in [4, 5, 3, 2, 0x85] {
            #expect(try Self.isRefused(header: { $0.segmentation = type }))
        }
        for start: UInt16 in [14, 33, 35, 38] {
            #expect(try Self.isRefused(header: { $0.checksumStart = start }))
        }
        #expect(try Self.isRefused({ $0.isIPv4 = false }, header: { $0.segmentation = 1 }))
        #expect(
            try Self.isRefused({ $0.isTCP = false }, header: { $0.segmentation = 1 }))
        #expect(
            try Self.isRefused({ $0.isTCP = false }) { _, _ in
            } header: {
                $0.segmentation = 1
                $0.checksumOffset = 16
            })
    }

    @Test("After a refused packet the next one is whole")
    func next() throws {
        let bench = try FinisherBench()
        var recipe = PacketRecipe()
        recipe.segmentBytes = 100
        recipe.payload = [UInt8](repeating: 5, count: 300)
        #expect(bench.finish(Array(recipe.bytes().dropLast()), recipe.header, for: []) == nil)
        #expect(bench.finish(recipe, for: []) == recipe.finished)
    }

    @Test("A packet begun is forgotten with the next, good or bad")
    func forgotten() throws {
        var finisher = try Finisher()
        var recipe = PacketRecipe()
        recipe.segmentBytes = 100
        recipe.payload = [UInt8](repeating: 5, count: 300)
        let bytes = recipe.bytes()
        finisher.memory.write(bytes.span, at: 0)
        let isTaken = finisher.begin(recipe.header, count: bytes.count, for: [])
        let first = finisher.next()
        #expect(isTaken && first?.count == bytes.count - 200)
        let isTakenThen = finisher.begin(recipe.header, count: 13, for: [])
        let second = finisher.next()
        #expect(!isTakenThen && second == nil)
    }

    @Test("No bytes and no header can trap, or make much out of little", arguments: 0..<8)
    func noise(stream: Int) throws {
        var random = Seeded(5000 + stream)
        let bench = try FinisherBench()
        var taken = 0
        for _ in 0..<500 {
            let recipe = PacketRecipe.random(&random)
            var bytes = recipe.bytes()
            var words = recipe.header.words
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                let place = Int.random(in: 0..<min(bytes.count, 150), using: &random)
                bytes[place] ^= UInt8(1) << UInt8.random(in: 0...7, using: &random)
            }
            for _ in 0..<Int.random(in: 0...1, using: &random) {
                words.0 ^= 1 << UInt64.random(in: 0...63, using: &random)
            }
            let receiver = NetOffloads(rawValue: UInt8.random(in: 0...31, using: &random))
            let header = NetHeader(words: words.0, words.1)
            guard let output = bench.finish(bytes, header, for: receiver) else { continue }
            taken += 1
            #expect(!output.isEmpty, "\(random.note)")
            #expect(output.count <= NetLayout.largestPacket / 8, "\(random.note)")
            let complete = output.allSatisfy {
                $0.header.isValid(packetBytes: $0.bytes.count, offloads: receiver)
            }
            #expect(complete, "\(random.note)")
        }
        #expect(taken > 100, "\(random.note)")
    }
}
