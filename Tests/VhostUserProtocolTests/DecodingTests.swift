import Testing
import VirtioSpec

@testable import VhostUserProtocol

@Suite("A message is decoded only if it looks exactly as the specification says")
struct DecodingTests {
    @Test("Every served message is read from its bytes", arguments: Sample.all)
    func decodes(sample: Sample) throws {
        #expect(try sample.decode() == sample.message)
        #expect(try sample.decode(descriptors: sample.descriptors.lowerBound) == sample.message)
    }

    @Test("There is a sample for every message that has a rule, and for no other")
    func samplesAreComplete() {
        let served = VhostUserRequest.allCases.filter { Rule.of($0) != nil }
        #expect(Set(Sample.all.map(\.request)) == Set(served))
        #expect(Sample.all.count == served.count)
    }

    @Test("A payload one byte short is refused", arguments: Sample.withPayload)
    func short(sample: Sample) {
        let payload = Array(sample.payload.dropLast())
        #expect(throws: ProtocolViolation.payloadSize(sample.request, payload.count)) {
            try sample.decode(payload: payload)
        }
    }

    @Test("A payload one byte long is refused", arguments: Sample.all)
    func long(sample: Sample) {
        let payload = sample.payload + [0]
        #expect(throws: ProtocolViolation.payloadSize(sample.request, payload.count)) {
            try sample.decode(payload: payload)
        }
    }

    @Test("No payload at all is refused where one belongs", arguments: Sample.withPayload)
    func empty(sample: Sample) {
        #expect(throws: ProtocolViolation.payloadSize(sample.request, 0)) {
            try sample.decode(payload: [])
        }
    }

    @Test("A descriptor too many is refused", arguments: Sample.all)
    func tooManyDescriptors(sample: Sample) {
        let count = sample.descriptors.upperBound + 1
        #expect(throws: ProtocolViolation.descriptorCount(sample.request, count)) {
            try sample.decode(descriptors: count)
        }
    }

    @Test("A descriptor too few is refused", arguments: Sample.needingDescriptors)
    func tooFewDescriptors(sample: Sample) {
        #expect(throws: ProtocolViolation.descriptorCount(sample.request, 0)) {
            try sample.decode(descriptors: 0)
        }
    }

    @Test(
        "A message of a protocol feature is refused where all but that were negotiated",
        arguments: Sample.gatedByProtocolFeature)
    func withoutItsGate(sample: Sample) throws {
        let bit = try #require(sample.bit)
        #expect(throws: ProtocolViolation.notNegotiated(sample.request)) {
            try sample.decode(negotiated: .without(bit))
        }
        #expect(try sample.decode(negotiated: .only(bit)) == sample.message)
    }

    @Test(
        "A message that needs no feature is taken before anything was negotiated",
        arguments: Sample.all.filter { $0.gate == .open })
    func beforeNegotiation(sample: Sample) throws {
        #expect(try sample.decode(negotiated: .nothing) == sample.message)
    }

    @Test("SET_VRING_ENABLE needs bit 30 or any protocol feature")
    func enableGate() throws {
        let sample = try #require(Sample.all.first { $0.gate == .bit30 })
        #expect(throws: ProtocolViolation.notNegotiated(.setVringEnable)) {
            try sample.decode(negotiated: .nothing)
        }
        #expect(try sample.decode(negotiated: .only(3)) == sample.message)
        var features = Message.Negotiated()
        features.features = Features(rawValue: 1 << 30)
        #expect(try sample.decode(negotiated: features) == sample.message)
        features.features = Features(rawValue: ~(1 << 30))
        #expect(throws: ProtocolViolation.notNegotiated(.setVringEnable)) {
            try sample.decode(negotiated: features)
        }
    }

    @Test(
        "Ids that the specification does not have are unknown",
        arguments: [
            0, 46, 47, 99, 255, 256, 0x1_0001, 0x8000_0001, .max,
        ] as [UInt32])
    func unknownRequest(id: UInt32) {
        let header = MessageHeader(request: id, flags: 1, size: 0)
        #expect(throws: ProtocolViolation.unknownRequest(id)) {
            try Message.decode(header, [], descriptors: 0, negotiated: .everything)
        }
    }

    @Test(
        "Messages that are not served are refused by name",
        arguments: [
            6, 7, 22, 23, 26, 27, 28, 29, 30, 33, 35, 41, 42, 43, 44,
        ] as [UInt32])
    func unservedRequest(id: UInt32) throws {
        let request = try #require(VhostUserRequest(rawValue: id))
        let header = MessageHeader(request: id, flags: 1, size: 0)
        #expect(throws: ProtocolViolation.notServed(request)) {
            try Message.decode(header, [], descriptors: 0, negotiated: .everything)
        }
    }

    @Test("The index of a kick, call or error is eight bits wide, and bit 8 says no descriptor")
    func vringDescriptor() {
        #expect(VringFD(0x1ff).index == 0xff && !VringFD(0x1ff).hasDescriptor)
        #expect(VringFD(0x100).index == 0 && !VringFD(0x100).hasDescriptor)
        #expect(VringFD(0xff).index == 0xff && VringFD(0xff).hasDescriptor)
    }

    @Test(
        "Every violation is told in one line that is not empty",
        arguments: [
            .wrongVersion(2), .replyUnasked(1), .payloadTooLong(5, .max), .unknownRequest(0),
            .notServed(.setLogBase), .notNegotiated(.getConfig), .payloadSize(.setFeatures, 7),
            .descriptorCount(.setOwner, 3), .tooManyRegions(9),
        ] as [ProtocolViolation])
    func text(violation: ProtocolViolation) {
        let text = violation.description
        #expect(text.count > 10 && !text.contains("\n"))
    }
}

@Suite("Payloads of variable length agree with the counts in them")
struct VariablePayloadTests {
    private static func table(count: UInt8, regions: Int) -> [UInt8] {
        [count, 0, 0, 0, 0, 0, 0, 0] + [UInt8](repeating: 1, count: regions * 32)
    }

    private func decode(_ request: VhostUserRequest, _ payload: [UInt8]) throws -> Message {
        let header = MessageHeader(
            request: request.rawValue, flags: 1, size: UInt32(payload.count))
        return try Message.decode(header, payload, descriptors: 0, negotiated: .everything)
    }

    @Test("A memory table holds none to eight regions", arguments: 0...8)
    func regions(count: Int) throws {
        let message = try decode(
            .setMemoryTable, Self.table(count: UInt8(count), regions: count))
        let word: UInt64 = 0x0101_0101_0101_0101
        let region = MemoryRegion(
            guestAddress: word, byteCount: word, userAddress: word, fileOffset: word)
        #expect(message == .setMemoryTable(Array(repeating: region, count: count)))
    }

    @Test(
        "Nine regions and more are too many, whether they are there or not",
        arguments: [
            (9, 9), (9, 8), (9, 0), (255, 8),
        ])
    func tooManyRegions(count: UInt8, regions: Int) {
        #expect(throws: ProtocolViolation.tooManyRegions(Int(count))) {
            try decode(.setMemoryTable, Self.table(count: count, regions: regions))
        }
    }

    @Test("A count that would wrap is too many")
    func hugeCount() {
        let payload: [UInt8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]
        #expect(throws: ProtocolViolation.tooManyRegions(Int(UInt32.max))) {
            try decode(.setMemoryTable, payload)
        }
    }

    @Test(
        "A count of regions that disagrees with the size is refused",
        arguments: [
            (0, 1), (1, 0), (1, 2), (2, 1), (8, 7), (7, 8),
        ])
    func countDisagrees(count: UInt8, regions: Int) {
        let payload = Self.table(count: count, regions: regions)
        #expect(throws: ProtocolViolation.payloadSize(.setMemoryTable, payload.count)) {
            try decode(.setMemoryTable, payload)
        }
    }

    private static func config(size: UInt32, bytes: Int) -> [UInt8] {
        let low = UInt8(truncatingIfNeeded: size)
        let high = UInt8(truncatingIfNeeded: size >> 8)
        let top = UInt8(truncatingIfNeeded: size >> 24)
        return [7, 0, 0, 0, low, high, 0, top, 0, 0, 0, 0] + [UInt8](repeating: 9, count: bytes)
    }

    @Test(
        "A configuration access has as many bytes as it says",
        arguments: [VhostUserRequest.getConfig, .setConfig],
        [0, 1, 60, 256, 257, 4084])
    func configSizes(request: VhostUserRequest, size: Int) throws {
        let access = ConfigAccess(
            offset: 7, flags: 0, bytes: [UInt8](repeating: 9, count: size))
        let message = try decode(request, Self.config(size: UInt32(size), bytes: size))
        #expect([.getConfig(access), .setConfig(access)].contains(message))
    }

    @Test(
        "A configuration access of another size than it says is refused",
        arguments: [VhostUserRequest.getConfig, .setConfig],
        [(257, 256), (256, 257), (1, 0), (0, 1), (60, 59), (0xff00_0010, 16)])
    func badConfigSizes(request: VhostUserRequest, access: (size: UInt32, bytes: Int)) {
        let payload = Self.config(size: access.size, bytes: access.bytes)
        #expect(throws: ProtocolViolation.payloadSize(request, payload.count)) {
            try decode(request, payload)
        }
    }
}
