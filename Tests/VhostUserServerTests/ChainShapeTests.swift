import Randomness
import Testing
import VhostUserFrontend
import VirtioSpec

@Suite("A request is its bytes, however they are cut into buffers")
struct ChainShapeTests {
    struct Cut: Sendable, CustomStringConvertible {
        let description: String
        /// A write is cut in its readable bytes; a read in its header and its writable bytes.
        let write: RequestLayout
        let read: RequestLayout

        init(_ description: String, _ readable: [Int]?, _ writable: [Int]? = nil, gap: Int) {
            self.description = "\(description), \(gap) bytes apart"
            write = RequestLayout(readable: readable, gap: gap)
            let header = readable.map { Array($0.prefix(17)) }
            read = RequestLayout(readable: header, writable: writable, gap: gap)
        }
    }

    /// Cuts of 515 sectors, with and without holes between the buffers.
    static let cuts: [Cut] = cuts(gap: 0) + cuts(gap: 16)

    private static func cuts(gap: Int) -> [Cut] {
        let sectors = [Int](repeating: 512, count: 515)
        let bytes = [Int](repeating: 1, count: 16)
        let rest = 1 << 20
        return [
            Cut("515 segments each way", [16] + sectors, sectors + [1], gap: gap),
            Cut("a header of 16 buffers", bytes + [rest], gap: gap),
            Cut("header and data in one", [rest], gap: gap),
            Cut("data and status in one", nil, [rest], gap: gap),
            Cut("one buffer each way", [rest], [rest], gap: gap),
            Cut("a header cut in its type", [3, 13, rest], gap: gap),
            Cut("a header that runs into the data", [7, 100, rest], [511, rest], gap: gap),
            Cut("data cut at odd bytes", [16, 1, 513, rest], [1, 513, 7, rest], gap: gap),
            Cut("empty buffers between", [0, 16, 0, rest], [0, 512, 0, rest], gap: gap),
        ]
    }

    private func driver(_ backend: Backend, indirect: Bool) throws -> BlockDriver {
        try backend.driver(memory: 32 << 20) {
            $0.queueSize = 1024
            $0.indirect = indirect
        }
    }

    @Test("It is written, read and flushed the same", arguments: cuts, [true, false])
    func cut(cut: Cut, indirect: Bool) throws {
        let backend = try Backend()
        let driver = try driver(backend, indirect: indirect)
        var noise = Seeded()
        let data = noise.bytes(515 * 512)
        let answer = try driver.write(sector: 3, data, layout: cut.write)
        #expect(answer == BlockAnswer(status: 0, data: [], written: 1))
        #expect(try driver.read(sector: 3, count: data.count).data == data)
        let read = try driver.read(sector: 3, count: data.count, layout: cut.read)
        #expect(read == BlockAnswer(status: 0, data: data, written: UInt32(data.count) + 1))
        #expect(try driver.read(sector: 0, count: 3 * 512).data.allSatisfy { $0 == 0 })
        #expect(try driver.read(sector: 518, count: 512).data.allSatisfy { $0 == 0 })
    }

    @Test("An identifier is answered in any cut", arguments: [[1, 1], [20, 1], [21], [7, 20]])
    func identifier(writable: [Int]) throws {
        let backend = try Backend { $0.serial = "serial-number-of-2022" }
        let driver = try driver(backend, indirect: true)
        let answer = try driver.request(
            BlockRequestType.getID, read: 20, layout: RequestLayout(writable: writable, gap: 16))
        #expect(answer.data == Array("serial-number-of-202".utf8))
        #expect(answer.status == 0 && answer.written == 21)
    }

    @Test(
        "Ranges may lie in any cut, across buffers too",
        arguments: [
            [16, 8, 8, 4, 12], [24, 24], [1, 47], [48],
        ])
    func ranges(readable: [Int]) throws {
        let backend = try Backend()
        let driver = try driver(backend, indirect: false)
        let ones = [UInt8](repeating: 1, count: 4 * 512)
        #expect(try driver.write(sector: 0, ones).status == 0)
        let data = BlockDriver.encode([SectorRange(1, 1), SectorRange(3, 1)])
        let answer = try driver.request(
            BlockRequestType.writeZeroes, write: data,
            layout: RequestLayout(readable: readable, gap: 16))
        #expect(answer == BlockAnswer(status: 0, data: [], written: 1))
        let sums = try driver.read(sector: 0, count: 4 * 512).data
        #expect([0, 512, 1024, 1536].map { sums[$0] } == [1, 0, 1, 0])
    }

    @Test(
        "A chain without a byte to write comes back with nothing written",
        arguments: [
            true, false,
        ])
    func nothingWritable(indirect: Bool) throws {
        let backend = try Backend()
        let driver = try driver(backend, indirect: indirect)
        let place = driver.ram.allocate(64)
        driver.ram.write(Bytes.of(BlockRequestType.flush), at: place)
        #expect(try driver.run([.readable(place, 16)]) == 0)
        #expect(try driver.run([.readable(place, 8), .readable(place + 8, 8)]) == 0)
        #expect(try driver.run([.readable(place, 16), .writable(place + 32, 0)]) == 0)
        #expect(try driver.works())
    }

    @Test(
        "A header of fewer than 16 bytes gets an I/O error", arguments: [0, 1, 8, 15],
        [
            true, false,
        ])
    func shortHeader(bytes: Int, indirect: Bool) throws {
        let backend = try Backend()
        let driver = try driver(backend, indirect: indirect)
        let place = driver.ram.allocate(2048)
        driver.ram.fill(0, count: 16, at: place)
        driver.ram.fill(0xee, count: 513, at: place + 512)
        let written = try driver.run([
            .readable(place, bytes), .writable(place + 512, 512), .writable(place + 1024, 1),
        ])
        #expect(written == 1)
        let expected = [UInt8](repeating: 0xee, count: 512) + [1]
        #expect(driver.ram.read(513, at: place + 512) == expected)
        #expect(try driver.works())
    }

    @Test("A status alone, without a header, gets an I/O error")
    func statusAlone() throws {
        let backend = try Backend()
        let driver = try driver(backend, indirect: false)
        let place = driver.ram.allocate(16)
        driver.ram.write([0xee], at: place)
        #expect(try driver.run([.writable(place, 1)]) == 1)
        #expect(driver.ram.read(1, at: place) == [1])
    }

    @Test("A flush may carry data and a read may be given some, which nobody reads")
    func surplus() throws {
        let backend = try Backend()
        let driver = try driver(backend, indirect: false)
        #expect(try driver.request(BlockRequestType.flush, write: [1, 2, 3]).status == 0)
        let answer = try driver.request(
            BlockRequestType.in, write: [UInt8](repeating: 1, count: 512), read: 512)
        #expect(answer.status == 0 && answer.data.allSatisfy { $0 == 0 })
    }

    @Test(
        "An identifier is cut to the room there is, and no more is said to be written",
        arguments: [0, 1, 4, 19, 20, 21, 40])
    func identifierRoom(count: Int) throws {
        let backend = try Backend { $0.serial = "serial-number-of-2022" }
        let driver = try driver(backend, indirect: false)
        let answer = try driver.request(BlockRequestType.getID, read: count)
        let room = min(20, count)
        #expect(answer.data.prefix(room) == Array("serial-number-of-202".utf8).prefix(room))
        #expect(answer.data.dropFirst(room).allSatisfy { $0 == 0x5a })
        #expect(answer.status == 0 && Int(answer.written) == room + 1)
    }
}
