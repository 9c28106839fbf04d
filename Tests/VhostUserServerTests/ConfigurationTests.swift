import Testing
import VhostUserFrontend
import VirtioSpec

@Suite("The configuration space is read in any piece and written in one place")
struct ConfigurationTests {
    @Test(
        "256 bytes are the device's own and zeroes after",
        arguments: [ProtocolFeatures.max, .silent])
    func whole(features: ProtocolFeatures) throws {
        let backend = try Backend()
        let connection = try backend.negotiated(features)
        let space = try #require(try connection.config(offset: 0, count: 256))
        #expect(space.count == 256)
        #expect(Array(space[0..<8]) == [0, 0x40, 0, 0, 0, 0, 0, 0])
        #expect(space[60...].allSatisfy { $0 == 0 })
    }

    @Test(
        "Every piece is that piece of the whole",
        arguments: [
            (0, 8), (0, 60), (0, 96), (20, 4), (32, 1), (34, 2), (59, 1), (59, 2), (60, 4),
            (100, 100),
            (255, 1), (256, 0), (0, 0), (1, 255),
        ] as [(UInt32, UInt32)])
    func pieces(offset: UInt32, count: UInt32) throws {
        let backend = try Backend()
        let connection = try backend.negotiated()
        let space = try #require(try connection.config(offset: 0, count: 256))
        let piece = try connection.config(offset: offset, count: count)
        #expect(piece == Array(space[Int(offset)..<Int(offset + count)]))
    }

    @Test("The answer repeats offset, size and flags")
    func header() throws {
        let backend = try Backend()
        let connection = try backend.negotiated()
        let request = Bytes.of(UInt32(34)) + Bytes.of(UInt32(2)) + Bytes.of(UInt32(1)) + [9, 9]
        let answer = try connection.ask(.getConfig, request)
        #expect(answer.payload == Array(request.prefix(12)) + [4, 0])
    }

    @Test(
        "A piece that leaves the 256 bytes gets an empty answer, and the session goes on",
        arguments: [
            (1, 256), (256, 1), (255, 2), (0, 257), (0, 4084), (.max, 1), (.max, 256), (1 << 31, 8),
        ] as [(UInt32, UInt32)], [ProtocolFeatures.max, .silent])
    func beyond(piece: (offset: UInt32, count: UInt32), features: ProtocolFeatures) throws {
        let backend = try Backend()
        let connection = try backend.negotiated(features)
        #expect(try connection.config(offset: piece.offset, count: piece.count) == nil)
        #expect(try connection.config(offset: 32, count: 1) == [1])
    }

    @Test("The write cache is turned off and on, and read back so")
    func writeback() throws {
        let backend = try Backend()
        let driver = try backend.driver()
        for value in [0, 1, 1, 0] as [UInt8] {
            try driver.connection.setConfig(offset: 32, [value])
            #expect(try driver.connection.config(offset: 32, count: 1) == [value])
            #expect(try driver.works())
        }
    }

    @Test("The write cache is not the driver's to turn without CONFIG_WCE")
    func notNegotiated() throws {
        let backend = try Backend()
        let driver = try backend.driver { $0.features.remove(.blockConfigWriteback) }
        #expect(throws: FrontendError.refused(25, 1)) {
            try driver.connection.setConfig(offset: 32, [0])
        }
        #expect(try driver.connection.config(offset: 32, count: 1) == [1])
    }

    @Test("A write-through disk begins with its cache off")
    func writethrough() throws {
        let backend = try Backend { $0.cache = .writethrough }
        let driver = try backend.driver()
        #expect(try driver.configuration().writeback == 0)
    }

    @Test("A reset sets the write cache back as the operator set it")
    func reset() throws {
        let backend = try Backend()
        let connection = try backend.negotiated()
        try connection.setConfig(offset: 32, [0])
        try connection.tell(.resetDevice)
        #expect(try connection.config(offset: 32, count: 1) == [1])
    }

    @Test("A write cache that the driver turned off is off still when its VMM connects again")
    func nextSession() throws {
        let backend = try Backend()
        try { try backend.negotiated().setConfig(offset: 32, [0]) }()
        #expect(try backend.negotiated().config(offset: 32, count: 1) == [0])
    }
}
