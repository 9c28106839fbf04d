import Host
import Testing
import VhostUserFrontend
import VirtioSpec

@Suite("A message that breaks the protocol costs its sender the session at most")
struct BadMessageTests {
    private func send(_ bad: BadMessage, _ driver: BlockDriver) throws {
        let files = try TestFiles()
        try driver.connection.send(
            bad.request, flags: VhostUserHeader.needReply, bad.payload,
            descriptors: bad.files.map { files.raw($0) })
    }

    @Test(
        "With REPLY_ACK it gets a number that is not 0, and the session goes on",
        arguments: BadMessage.acknowledged)
    func acknowledged(bad: BadMessage) throws {
        let backend = try Backend()
        try {
            let driver = try backend.driver()
            try send(bad, driver)
            let answer = try driver.connection.receive()
            #expect(answer.request == bad.request && answer.flags == 5)
            #expect(answer.payload.count == 8 && answer.number != 0)
            #expect(try driver.works())
            #expect(try driver.configuration().capacitySectors == 16_384)
        }()
        #expect(try backend.servesAnother())
    }

    @Test(
        "Without REPLY_ACK nothing is answered and the connection closes",
        arguments: BadMessage.acknowledged)
    func closes(bad: BadMessage) throws {
        let backend = try Backend()
        let driver = try backend.driver { $0.protocolFeatures = .silent }
        #expect(try driver.works())
        try send(bad, driver)
        try driver.connection.waitForClose()
        #expect(try backend.servesAnother())
    }

    @Test(
        "One that has a reply of its own closes the connection, REPLY_ACK or not",
        arguments: BadMessage.closing, [ProtocolFeatures.max, .silent])
    func closesAlways(bad: BadMessage, features: ProtocolFeatures) throws {
        let backend = try Backend()
        let driver = try backend.driver { $0.protocolFeatures = features }
        try send(bad, driver)
        try driver.connection.waitForClose()
        #expect(try backend.servesAnother())
    }

    @Test("With REPLY_ACK, one that asks for no answer closes the connection")
    func unasked() throws {
        let backend = try Backend()
        let driver = try backend.driver()
        try driver.connection.send(VhostUserRequest.setVringNum.rawValue, Bytes.of(UInt64(99)))
        try driver.connection.waitForClose()
        #expect(try backend.servesAnother())
    }

    @Test(
        "A header that can't be one closes the connection at once",
        arguments: [
            [1, 0, 0], [1, 2, 0], [1, 3, 0], [1, 5, 0], [1, 0xd, 0], [5, 1, 4097], [5, 1, .max],
            [.max, .max, .max], [3, 9, 0x8000_0000],
        ] as [[UInt32]])
    func badHeader(words: [UInt32]) throws {
        let backend = try Backend()
        let connection = try backend.negotiated()
        try connection.sendRaw(words.flatMap { Bytes.of($0) })
        try connection.waitForClose()
        #expect(try backend.servesAnother())
    }

    @Test(
        "A connection that ends inside a message is followed by one that works",
        arguments: [1, 4, 11, 12, 13, 51])
    func cut(bytes: Int) throws {
        let backend = try Backend()
        try {
            let driver = try backend.driver()
            let header = Bytes.of(UInt32(9)) + Bytes.of(UInt32(1)) + Bytes.of(UInt32(40))
            let message = header + [UInt8](repeating: 0, count: 40)
            try driver.connection.sendRaw(Array(message.prefix(bytes)))
        }()
        #expect(try backend.servesAnother())
    }

    @Test("A message that comes byte by byte is one message")
    func piecemeal() throws {
        let backend = try Backend()
        let driver = try backend.driver()
        let header = Bytes.of(UInt32(8)) + Bytes.of(UInt32(9)) + Bytes.of(UInt32(8))
        for byte in header + BadMessage.pair(1, 64) {
            try driver.connection.sendRaw([byte])
        }
        #expect(try driver.connection.receive() == .number(.setVringNum, 0))
    }

    @Test("Several messages in one piece are answered one by one")
    func together() throws {
        let backend = try Backend()
        let driver = try backend.driver()
        let header = Bytes.of(UInt32(8)) + Bytes.of(UInt32(9)) + Bytes.of(UInt32(8))
        let good = header + BadMessage.pair(1, 64)
        let bad = header + BadMessage.pair(1, 63)
        try driver.connection.sendRaw(good + bad + good)
        #expect(try driver.connection.receive().number == 0)
        #expect(try driver.connection.receive().number != 0)
        #expect(try driver.connection.receive().number == 0)
    }

    @Test(
        "Messages whose feature was not negotiated are refused",
        arguments: [
            (.setVringEnable, BadMessage.pair(0, 0)), (.setConfig, BadMessage.config(32, [1])),
            (.resetDevice, []), (.setStatus, Bytes.of(UInt64(0))),
            (.removeMemoryRegion, [UInt8](repeating: 0, count: 40)),
        ] as [(VhostUserRequest, [UInt8])])
    func ungated(request: VhostUserRequest, payload: [UInt8]) throws {
        let backend = try Backend()
        let connection = try backend.connect()
        try connection.send(request.rawValue, payload)
        try connection.waitForClose()
        #expect(try backend.servesAnother())
    }
}
