import Host
import Randomness
import Testing
import VirtioNet
import VirtioSpec

@Suite("A checksum that was begun is finished")
struct ChecksumTests {
    @Test("A sum over any bytes, from anywhere", arguments: 0..<70)
    func sums(count: Int) throws {
        var random = Seeded(count)
        let memory = try Mapping.anonymous(count: 4096)
        for offset in 0..<9 {
            let bytes = random.bytes(count)
            memory.write(bytes.span, at: offset)
            let sum = memory.internetSum(at: offset, count: count)
            #expect(sum == PacketRecipe.sum(bytes), "\(random.note)")
        }
    }

    @Test("The largest sums", arguments: [0xff, 0], [1, 2, 3, 4, 65_535, 65_536] as [Int])
    func largest(byte: UInt8, count: Int) throws {
        let memory = try Mapping.anonymous(count: 65_536)
        memory.fill(byte, at: 0, count: count)
        let expected = PacketRecipe.sum([UInt8](repeating: byte, count: count))
        #expect(memory.internetSum(at: 0, count: count) == expected)
    }

    @Test("Bytes move, also over themselves", arguments: [-60, -7, 0, 1, 63, 64, 200])
    func moves(distance: Int) throws {
        var random = Seeded()
        let memory = try Mapping.anonymous(count: 4096)
        let bytes = random.bytes(64)
        memory.write(bytes.span, at: 100)
        memory.move(from: 100, to: 100 + distance, count: 64)
        #expect(memory.bytes(at: 100 + distance, count: 64) == bytes, "\(random.note)")
    }

    @Test("Any packet whose checksum is begun", arguments: 0..<100)
    func anyPacket(stream: Int) throws {
        var random = Seeded(4000 + stream)
        let bench = try FinisherBench()
        var recipe = PacketRecipe.random(&random)
        recipe.segmentBytes = 0
        recipe.hasECN = false
        recipe.padding = []
        let output = try #require(bench.finish(recipe, for: []), "\(random.note)")
        let finished = FinisherBench.Output(header: .plain, bytes: recipe.bytes(.finished))
        #expect(output == [finished], "\(random.note)")
        let left = try #require(bench.finish(recipe, for: .checksum), "\(random.note)")
        let begun = FinisherBench.Output(header: recipe.header, bytes: recipe.bytes())
        #expect(left == [begun], "\(random.note)")
    }

    @Test("A checksum that would be zero is written as 0xffff", arguments: [true, false])
    func zero(isTCP: Bool) throws {
        let bench = try FinisherBench()
        var recipe = PacketRecipe()
        recipe.isTCP = isTCP
        recipe.payload = [0, 0]
        // The payload is what the checksum would be without it: with it the sum is all ones.
        let place = recipe.transport + recipe.checksumOffset
        recipe.payload = Array(recipe.bytes(.finished)[place..<(place + 2)])
        let output = try #require(bench.finish(recipe, for: []))
        #expect(output[0].bytes[place..<(place + 2)] == [0xff, 0xff])
    }

    @Test("A packet that asks for nothing is not touched, whoever receives it")
    func plain() throws {
        let bench = try FinisherBench()
        let bytes = PacketRecipe(payload: [1, 2, 3]).bytes(.finished)
        let output = try #require(bench.finish(bytes, .plain, for: []))
        #expect(output == [FinisherBench.Output(header: .plain, bytes: bytes)])
    }

    @Test(
        "What only the sender could vouch for is not handed on",
        arguments: [[], .all] as [NetOffloads])
    func vouched(receiver: NetOffloads) throws {
        let bench = try FinisherBench()
        let bytes = PacketRecipe(payload: [1, 2, 3]).bytes(.finished)
        var header = NetHeader.plain
        header.flags = 0xfe
        header.headerLength = 14
        header.segmentBytes = 77
        header.checksumStart = 0xffff
        header.checksumOffset = 0xffff
        header.bufferCount = 9
        let output = try #require(bench.finish(bytes, header, for: receiver))
        #expect(output == [FinisherBench.Output(header: .plain, bytes: bytes)])
    }

    @Test("A checksum left to the receiver is handed on with nothing else beside")
    func begunAlone() throws {
        let bench = try FinisherBench()
        let recipe = PacketRecipe(payload: [1, 2, 3])
        var header = recipe.header
        header.flags = 0xff
        header.headerLength = 14
        header.segmentBytes = 77
        header.bufferCount = 9
        let output = try #require(bench.finish(recipe.bytes(), header, for: .checksum))
        #expect(output == [FinisherBench.Output(header: recipe.header, bytes: recipe.bytes())])
    }
}
