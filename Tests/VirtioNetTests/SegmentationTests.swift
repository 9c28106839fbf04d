import Randomness
import Testing
import VirtioNet
import VirtioSpec

@Suite("What a receiver does not take in one is cut, and each segment is a packet of its own")
struct SegmentationTests {
    @Test("Any packet becomes the segments that its stack would have sent", arguments: 0..<150)
    func anyPacket(stream: Int) throws {
        var random = Seeded(stream)
        let bench = try FinisherBench()
        let recipe = PacketRecipe.random(&random)
        let output = try #require(bench.finish(recipe, for: []), "\(random.note)")
        #expect(output == recipe.finished, "\(random.note)")
    }

    @Test("A receiver that finishes checksums gets them begun", arguments: 0..<150)
    func checksumsLeft(stream: Int) throws {
        var random = Seeded(1000 + stream)
        let bench = try FinisherBench()
        let recipe = PacketRecipe.random(&random)
        let output = try #require(bench.finish(recipe, for: .checksum), "\(random.note)")
        #expect(output == recipe.cut, "\(random.note)")
    }

    @Test("Together the segments hold the stream, and every checksum comes out", arguments: 0..<100)
    func reassembled(stream: Int) throws {
        var random = Seeded(2000 + stream)
        let bench = try FinisherBench()
        let recipe = PacketRecipe.random(&random)
        let output = try #require(bench.finish(recipe, for: []), "\(random.note)")
        var payload: [UInt8] = []
        for packet in output {
            let bytes = packet.bytes
            let segment = Array(bytes[recipe.transport...])
            let addresses =
                recipe.isIPv4
                ? bytes[(recipe.network + 12)..<(recipe.network + 20)]
                : bytes[(recipe.network + 8)..<(recipe.network + 40)]
            let pseudo = addresses + UInt16(segment.count).wire + [0, recipe.isTCP ? 6 : 17]
            #expect(PacketRecipe.sum(pseudo + segment) == 0xffff, "\(random.note)")
            if recipe.isIPv4 {
                let header = Array(bytes[recipe.network..<recipe.transport])
                #expect(PacketRecipe.sum(header) == 0xffff, "\(random.note)")
            }
            payload += segment.dropFirst(recipe.transportHeader)
        }
        #expect(payload == recipe.payload, "\(random.note)")
    }

    @Test("The largest packet is cut whole", arguments: [8, 536, 1448, 65_000], [true, false])
    func largest(segmentBytes: Int, isIPv4: Bool) throws {
        var random = Seeded()
        let bench = try FinisherBench()
        var recipe = PacketRecipe()
        recipe.isIPv4 = isIPv4
        recipe.segmentBytes = segmentBytes
        recipe.payload = random.bytes(65_535 - 60)
        if !isIPv4 { recipe.payload.removeLast(65_475 + 74 - NetLayout.largestPacket + 1) }
        recipe.flags = 0x19
        #expect(recipe.bytes().count <= NetLayout.largestPacket)
        let output = try #require(bench.finish(recipe, for: []), "\(random.note)")
        #expect(output == recipe.finished, "\(random.note)")
    }

    @Test("FIN and PSH come with the last segment, CWR with the first, alone")
    func flags() throws {
        let bench = try FinisherBench()
        var recipe = PacketRecipe()
        recipe.flags = 0xd9
        recipe.hasECN = true
        recipe.segmentBytes = 100
        recipe.payload = [UInt8](repeating: 7, count: 250)
        let output = try #require(bench.finish(recipe, for: []))
        #expect(output.map { $0.bytes[recipe.transport + 13] } == [0xd0, 0x50, 0x59])
    }

    @Test("Identification and sequence numbers go round")
    func goingRound() throws {
        let bench = try FinisherBench()
        var recipe = PacketRecipe()
        recipe.identification = 0xfffe
        recipe.sequence = 0xffff_ff80
        recipe.segmentBytes = 100
        recipe.payload = [UInt8](repeating: 7, count: 350)
        let output = try #require(bench.finish(recipe, for: []))
        #expect(output == recipe.finished)
        #expect(
            output.map { $0.bytes[18...19] } == [[0xff, 0xfe], [0xff, 0xff], [0, 0], [0, 1]])
    }

    @Test("Every count of payload bytes around a segment's end", arguments: 0...34)
    func borders(count: Int) throws {
        var random = Seeded()
        let bench = try FinisherBench()
        for (isIPv4, isTCP) in [(true, true), (true, false), (false, true), (false, false)] {
            var recipe = PacketRecipe()
            recipe.isIPv4 = isIPv4
            recipe.isTCP = isTCP
            recipe.segmentBytes = 16
            recipe.payload = random.bytes(count)
            let output = try #require(bench.finish(recipe, for: []))
            #expect(output == recipe.finished, "\(random.note)")
        }
    }

    @Test("A length that the stack left to us is put into each segment", arguments: [true, false])
    func lengthLeft(isIPv4: Bool) throws {
        let bench = try FinisherBench()
        var recipe = PacketRecipe()
        recipe.isIPv4 = isIPv4
        recipe.saysLength = false
        recipe.segmentBytes = 1000
        recipe.payload = [UInt8](repeating: 3, count: 2500)
        let output = try #require(bench.finish(recipe, for: []))
        #expect(output == recipe.finished)
    }

    @Test("What the receiver takes is handed over as it is", arguments: 0..<100)
    func passedOn(stream: Int) throws {
        var random = Seeded(3000 + stream)
        let bench = try FinisherBench()
        let recipe = PacketRecipe.random(&random)
        let output = try #require(bench.finish(recipe, for: .all), "\(random.note)")
        let whole = FinisherBench.Output(header: recipe.header, bytes: recipe.bytes())
        #expect(output == [whole], "\(random.note)")
    }

    @Test(
        "A packet is cut exactly where the receiver lacks what it asks for",
        arguments: 0..<32 as Range<UInt8>)
    func whatIsTaken(rawValue: UInt8) throws {
        let bench = try FinisherBench()
        let receiver = NetOffloads(rawValue: rawValue)
        for (isIPv4, isTCP, hasECN) in [
            (true, true, false), (true, true, true), (false, true, false), (false, true, true),
            (true, false, false), (false, false, false),
        ] {
            var recipe = PacketRecipe()
            recipe.isIPv4 = isIPv4
            recipe.isTCP = isTCP
            recipe.hasECN = hasECN
            recipe.segmentBytes = 100
            recipe.payload = [UInt8](repeating: 9, count: 300)
            var needed: NetOffloads = [
                .checksum, isTCP ? (isIPv4 ? .tcp4 : .tcp6) : .udpDatagrams,
            ]
            if hasECN { needed.insert(.ecn) }
            let output = try #require(bench.finish(recipe, for: receiver))
            #expect(output.count == (receiver.isSuperset(of: needed) ? 1 : 3))
            let isBegun = output.allSatisfy { $0.header.flags == 1 }
            #expect(isBegun == receiver.contains(.checksum))
        }
    }
}
