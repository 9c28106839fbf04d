import Host
import Testing
import VhostUserFrontend
import VirtioSpec

@Suite("A message is answered once, in its own way")
struct AnswerTests {
    private static let eight = Bytes.of(UInt64(0))
    /// Good messages without a reply of their own, none of which disturbs a session at its start.
    private static let told: [(VhostUserRequest, [UInt8])] = [
        (.setOwner, []), (.setOwner, []), (.resetOwner, []), (.setFeatures, eight),
        (.setVringNum, BadMessage.pair(0, 256)), (.setVringBase, BadMessage.pair(3, 65_535)),
        (.setVringAddress, BadMessage.pair(1, 0) + eight + eight + eight + eight),
        (.setVringCall, Bytes.of(UInt64(0x102))), (.setVringError, Bytes.of(UInt64(0x102))),
        (.setVringKick, Bytes.of(UInt64(0x100))), (.setVringEnable, BadMessage.pair(2, 1)),
        (.resetDevice, []), (.setStatus, Bytes.of(UInt64(15))),
        (.setMemoryTable, BadMessage.pair(0, 0)),
    ]

    @Test("With REPLY_ACK a good message gets one u64 of 0 where it asks", arguments: told)
    func acknowledged(request: VhostUserRequest, payload: [UInt8]) throws {
        let backend = try Backend()
        let connection = try backend.negotiated()
        #expect(try connection.exchange(request, payload) == .number(request, 0))
        #expect(try connection.ask(.getFeatures).request == 1)
    }

    @Test("With REPLY_ACK it gets nothing where it does not ask", arguments: told)
    func unasked(request: VhostUserRequest, payload: [UInt8]) throws {
        let backend = try Backend()
        let connection = try backend.negotiated()
        try connection.send(request.rawValue, payload)
        #expect(try connection.ask(.getFeatures).request == 1)
    }

    @Test("Without REPLY_ACK it gets nothing though it asks", arguments: told)
    func silent(request: VhostUserRequest, payload: [UInt8]) throws {
        let backend = try Backend()
        let connection = try backend.negotiated(.silent)
        try connection.send(request.rawValue, flags: VhostUserHeader.needReply, payload)
        #expect(try connection.ask(.getFeatures).request == 1)
    }

    @Test("The message that negotiates REPLY_ACK is acknowledged itself, where it asks")
    func firstAcknowledgement() throws {
        let backend = try Backend()
        let connection = try backend.connect()
        let payload = Bytes.of(ProtocolFeatures.replyAck.rawValue)
        let request = VhostUserRequest.setProtocolFeatures
        #expect(try connection.exchange(request, payload) == .number(request, 0))
        #expect(try connection.exchange(.setOwner) == .number(.setOwner, 0))
    }

    @Test(
        "A message with a reply of its own gets that and no acknowledgement",
        arguments: [
            (.getQueueCount, [], 8), (.getVringBase, BadMessage.pair(2, 0), 8),
            (.getConfig, BadMessage.config(0, [0, 0]), 14), (.getMaxMemorySlots, [], 8),
            (.getStatus, [], 8), (.getProtocolFeatures, [], 8),
        ] as [(VhostUserRequest, [UInt8], Int)])
    func inKind(request: VhostUserRequest, payload: [UInt8], bytes: Int) throws {
        let backend = try Backend()
        let connection = try backend.negotiated()
        let answer = try connection.exchange(request, payload)
        #expect(answer.request == request.rawValue && answer.flags == 5)
        #expect(answer.payload.count == bytes)
        #expect(try connection.exchange(.setOwner) == .number(.setOwner, 0))
    }

    @Test("Protocol features can be asked for and set before features and owner")
    func protocolFeaturesFirst() throws {
        let backend = try Backend()
        let connection = try backend.connect()
        let offered = try connection.protocolFeaturesOffered()
        #expect(offered.isSuperset(of: [.multiqueue, .replyAck, .config, .memorySlots, .status]))
        try connection.setProtocolFeatures(offered)
        #expect(try connection.queueCount() == 4)
    }

    @Test("509 memory regions can be had")
    func memorySlots() throws {
        let backend = try Backend()
        let connection = try backend.negotiated()
        #expect(try connection.ask(.getMaxMemorySlots).number == 509)
    }

    @Test("A status is kept until the device is reset")
    func status() throws {
        let backend = try Backend()
        let connection = try backend.negotiated()
        #expect(try connection.ask(.getStatus).number == 0)
        try connection.tell(.setStatus, Bytes.of(UInt64(0x4f)))
        #expect(try connection.ask(.getStatus).number == 0x4f)
        try connection.tell(.resetDevice)
        #expect(try connection.ask(.getStatus).number == 0)
    }

    @Test("What one session negotiated is gone in the next")
    func nothingIsKept() throws {
        let backend = try Backend()
        try { try backend.negotiated().tell(.setStatus, Bytes.of(UInt64(15))) }()
        let connection = try backend.connect()
        try connection.send(VhostUserRequest.getStatus.rawValue)
        try connection.waitForClose()
        let next = try backend.negotiated()
        #expect(try next.ask(.getStatus).number == 0)
    }

    @Test("SET_OWNER may come again, and RESET_OWNER stops nothing")
    func owner() throws {
        let backend = try Backend()
        let driver = try backend.driver()
        try driver.connection.tell(.setOwner)
        #expect(try driver.works())
        try driver.connection.tell(.resetOwner)
        #expect(try driver.works())
        try driver.connection.tell(.setOwner)
        #expect(try driver.works())
    }
}
