import BlockStores
import Host
import Randomness
import Testing
import VhostUserFrontend
import VirtioBlock
import VirtioSpec

@Suite("A driver finds a disk behind the socket")
struct DiskTests {
    @Test(
        "What is written is read back, by every way of making rings", arguments: RingShape.all)
    func writeAndRead(shape: RingShape) throws {
        let backend = try Backend()
        let driver = try backend.driver { shape.apply(to: &$0) }
        var noise = Seeded()
        let data = noise.bytes(64 << 10)
        #expect(try driver.write(sector: 8, data).status == 0)
        let answer = try driver.read(sector: 8, count: data.count)
        #expect(answer == BlockAnswer(status: 0, data: data, written: UInt32(data.count) + 1))
        #expect(try driver.flush() == BlockAnswer(status: 0, data: [], written: 1))
    }

    @Test(
        "Legacy drivers, with and without the newer kicks, get the same disk",
        arguments: [true, false])
    func legacy(protocolFeatures: Bool) throws {
        let backend = try Backend()
        let driver = try backend.driver {
            $0.features = [.protocolFeatures]
            if !protocolFeatures { $0.protocolFeatures = nil }
        }
        #expect(!driver.features.contains(.version1))
        let data = [UInt8](repeating: 0xa5, count: 512)
        #expect(try driver.write(sector: 0, data).status == 0)
        #expect(try driver.read(sector: 0, count: 512).data == data)
    }

    @Test("The configuration space says what the operator said")
    func configuration() throws {
        let backend = try Backend(bytes: 4 << 20) {
            $0.blockSize = 4096
            $0.queueCount = 3
        }
        let driver = try backend.driver()
        let space = try driver.configuration()
        #expect(space.capacitySectors == 8192)
        #expect(space.blockSize == 4096)
        #expect(space.queueCount == 3)
        #expect(space.writeback == 1)
        #expect(space.maxDiscardSectors > 0 && space.maxDiscardSegments > 1)
        #expect(space.maxWriteZeroesSectors > 0 && space.writeZeroesMayUnmap == 1)
        #expect(try driver.connection.queueCount() == 3)
    }

    @Test("GET_ID answers the serial in 20 bytes, also on a read-only disk")
    func identifier() throws {
        let backend = try Backend {
            $0.serial = "SN-42"
            $0.isReadOnly = true
        }
        let answer = try backend.driver().identifier()
        #expect(answer.status == 0 && answer.written == 21)
        #expect(answer.data == Array("SN-42".utf8) + [UInt8](repeating: 0, count: 15))
    }

    @Test("A read-only disk says so and refuses what would change it")
    func readOnly() throws {
        let backend = try Backend { $0.isReadOnly = true }
        let driver = try backend.driver()
        #expect(driver.features.contains(.blockReadOnly))
        #expect(try driver.read(sector: 0, count: 512).status == 0)
        #expect(try driver.write(sector: 0, [UInt8](repeating: 1, count: 512)).status == 1)
        #expect(try driver.writeZeroes([SectorRange(0, 1)]).status == 1)
        #expect(try driver.discard([SectorRange(0, 1)]).status != 0)
        #expect(try driver.read(sector: 0, count: 512).data == [UInt8](repeating: 0, count: 512))
    }

    @Test(
        "Ranges past the end are refused before any of them is touched",
        arguments: [
            (16_384, 512), (16_383, 1024), (UInt64.max, 512), (UInt64.max / 512, 512),
            (UInt64.max - 1, 1024), (0, 100), (0, 0),
        ] as [(UInt64, Int)])
    func ranges(sector: UInt64, count: Int) throws {
        let backend = try Backend()
        let driver = try backend.driver()
        let answer = try driver.read(sector: sector, count: count)
        #expect(answer.status == 1 && answer.written == 1)
        #expect(answer.data == [UInt8](repeating: 0x5a, count: count))
        let data = [UInt8](repeating: 7, count: count)
        #expect(try driver.write(sector: sector, data).status == 1)
    }

    @Test(
        "Types that are unknown, and SCSI's, get UNSUPP",
        arguments: [2, 3, 5, 7, 9, 14, 0x8000_0000, .max] as [UInt32])
    func unknownTypes(type: UInt32) throws {
        let backend = try Backend()
        let answer = try backend.driver().request(type, read: 32)
        #expect(answer.status == 2)
        #expect(answer.data == [UInt8](repeating: 0x5a, count: 32))
    }

    @Test("Several ranges are discarded or zeroed by one request")
    func severalRanges() throws {
        let backend = try Backend()
        let driver = try backend.driver()
        let ones = [UInt8](repeating: 1, count: 64 << 10)
        for flags in [0, 1] as [UInt32] {
            #expect(try driver.write(sector: 0, ones).status == 0)
            let ranges = [
                SectorRange(1, 2, flags: flags), SectorRange(8, 0),
                SectorRange(100, 28, flags: flags),
            ]
            #expect(try driver.writeZeroes(ranges).status == 0)
            var expected = ones
            for byte in 512..<3 * 512 { expected[byte] = 0 }
            for byte in 100 * 512..<128 * 512 { expected[byte] = 0 }
            #expect(try driver.read(sector: 0, count: ones.count).data == expected)
        }
        #expect(try driver.discard([SectorRange(0, 8), SectorRange(8, 8)]).status == 0)
    }

    @Test("A discard or a zeroing with a bad range, flag or length changes nothing")
    func badRanges() throws {
        let backend = try Backend()
        let driver = try backend.driver()
        let ones = [UInt8](repeating: 1, count: 512)
        #expect(try driver.write(sector: 0, ones).status == 0)
        let good = SectorRange(0, 1)
        #expect(try driver.writeZeroes([good, SectorRange(16_384, 1)]).status == 1)
        #expect(try driver.writeZeroes([good, SectorRange(.max, .max)]).status == 1)
        #expect(try driver.writeZeroes([good, SectorRange(1, 1, flags: 2)]).status == 2)
        #expect(try driver.discard([good, SectorRange(1, 1, flags: 1)]).status == 2)
        #expect(try driver.writeZeroes([]).status == 1)
        #expect(try driver.writeZeroes(Array(repeating: good, count: 17)).status == 1)
        let short = BlockDriver.encode([good]).dropLast()
        #expect(try driver.request(BlockRequestType.writeZeroes, write: Array(short)).status == 1)
        #expect(try driver.read(sector: 0, count: 512).data == ones)
    }

    @Test("Four queues work at once, each on a thread of its own")
    func fourQueues() throws {
        let backend = try Backend()
        let driver = try backend.driver(memory: 64 << 20) { $0.queues = 4 }
        for queue in 0..<4 {
            let data = [UInt8](repeating: UInt8(queue + 1), count: 4096)
            #expect(try driver.write(sector: UInt64(queue) * 8, data, queue: queue).status == 0)
        }
        for queue in 0..<4 {
            let other = (queue + 1) % 4
            let answer = try driver.read(sector: UInt64(other) * 8, count: 4096, queue: queue)
            #expect(answer.data == [UInt8](repeating: UInt8(other + 1), count: 4096))
        }
    }
}
