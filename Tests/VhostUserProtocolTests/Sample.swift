import VirtioSpec

@testable import VhostUserProtocol

/// One well-formed message: its bytes as the specification lays them out, and what they mean.
struct Sample: Sendable, CustomStringConvertible {
    let request: VhostUserRequest
    let payload: [UInt8]
    /// How many descriptors may come along.
    let descriptors: ClosedRange<Int>
    /// What must have been negotiated.
    let gate: Gate
    let message: Message

    enum Gate: Equatable, Sendable {
        case open
        case bit30
        case bit(UInt64)
    }

    init(
        _ request: VhostUserRequest, _ payload: [UInt8] = [],
        _ descriptors: ClosedRange<Int> = 0...0,
        _ gate: Gate = .open, _ message: Message
    ) {
        self.request = request
        self.payload = payload
        self.descriptors = descriptors
        self.gate = gate
        self.message = message
    }

    var description: String { "\(request)" }

    /// The decoder's verdict on this message, or on one a little different.
    func decode(
        payload: [UInt8]? = nil, descriptors count: Int? = nil,
        negotiated: Message.Negotiated = .everything
    ) throws(ProtocolViolation) -> Message {
        let payload = payload ?? self.payload
        let header = MessageHeader(
            request: request.rawValue, flags: 1, size: UInt32(payload.count))
        return try Message.decode(
            header, payload, descriptors: count ?? descriptors.upperBound, negotiated: negotiated)
    }
}

extension Message.Negotiated {
    static var nothing: Message.Negotiated { Message.Negotiated() }

    static var everything: Message.Negotiated {
        var negotiated = Message.Negotiated()
        negotiated.features = Features(rawValue: .max)
        negotiated.protocolFeatures = ProtocolFeatures(rawValue: .max)
        return negotiated
    }

    /// Everything but protocol feature `number`.
    static func without(_ number: UInt64) -> Message.Negotiated {
        var negotiated = everything
        negotiated.protocolFeatures.remove(ProtocolFeatures(rawValue: 1 << number))
        return negotiated
    }

    /// No feature but protocol feature `number`.
    static func only(_ number: UInt64) -> Message.Negotiated {
        var negotiated = nothing
        negotiated.protocolFeatures = ProtocolFeatures(rawValue: 1 << number)
        return negotiated
    }
}

extension Sample {
    private static let number: [UInt8] = [0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01]
    private static let state: [UInt8] = [3, 0, 0, 0, 0x44, 0x33, 0x22, 0x11]
    private static let ringFour: [UInt8] = [4, 0, 0, 0, 0, 0, 0, 0]
    /// guest address, size, user address, mmap offset.
    private static let region: [UInt8] = [
        0x00, 0x00, 0x00, 0x40, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x10, 0x00, 0x00, 0xff, 0x7f, 0x00, 0x00, 0x00, 0xf0, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00,
    ]
    private static let regionValue = MemoryRegion(
        guestAddress: 0x1_4000_0000, byteCount: 0x20_0000, userAddress: 0x7fff_0000_1000,
        fileOffset: 0xf000)
    private static let config: [UInt8] = [0x20, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0xaa, 0xbb]
    private static let configValue = ConfigAccess(offset: 32, flags: 1, bytes: [0xaa, 0xbb])
    /// mmap size u64, mmap offset u64, queues u16, queue size u16, and four bytes of nothing.
    private static let inflight: [UInt8] = [
        0, 0x20, 0, 0, 0, 0, 0, 0x55, 0, 0x30, 0, 0, 0, 0, 0, 0x66, 4, 1, 0, 2, 0xaa, 0xaa, 0xaa,
        0xaa,
    ]
    private static let inflightValue = InflightDescription(
        byteCount: 0x5500_0000_0000_2000, offset: 0x6600_0000_0000_3000, queueCount: 0x104,
        queueSize: 0x200)
    private static let stateValue = VringState(index: 3, value: 0x1122_3344)
    /// index u32, flags u32, descriptors u64, used u64, available u64, log u64.
    private static let address: [UInt8] =
        [2, 0, 0, 0, 1, 0, 0, 0]
        + [0, 0x10, 0, 0, 0, 0, 0, 0x11] + [0, 0x20, 0, 0, 0, 0, 0, 0x22]
        + [0, 0x30, 0, 0, 0, 0, 0, 0x33] + [0, 0x40, 0, 0, 0, 0, 0, 0x44]
    private static let addressValue = VringAddress(
        index: 2, flags: 1, descriptors: 0x1100_0000_0000_1000, used: 0x2200_0000_0000_2000,
        available: 0x3300_0000_0000_3000, log: 0x4400_0000_0000_4000)

    /// Every message that is served.
    static let all: [Sample] = [
        Sample(.getFeatures, .getFeatures),
        Sample(.setFeatures, number, .setFeatures(Features(rawValue: 0x0123_4567_89ab_cdef))),
        Sample(.setOwner, .setOwner),
        Sample(.resetOwner, .resetOwner),
        Sample(
            .setMemoryTable, [2, 0, 0, 0, 0, 0, 0, 0] + region + region, 0...8,
            .setMemoryTable([regionValue, regionValue])),
        Sample(.setVringNum, state, .setVringNum(stateValue)),
        Sample(.setVringAddress, address, .setVringAddress(addressValue)),
        Sample(.setVringBase, state, .setVringBase(stateValue)),
        Sample(.getVringBase, state, .getVringBase(stateValue)),
        Sample(.setVringKick, ringFour, 0...1, .setVringKick(VringFD(4))),
        Sample(.setVringCall, ringFour, 0...1, .setVringCall(VringFD(4))),
        Sample(.setVringError, ringFour, 0...1, .setVringError(VringFD(4))),
        Sample(.getProtocolFeatures, .getProtocolFeatures),
        Sample(
            .setProtocolFeatures, number,
            .setProtocolFeatures(ProtocolFeatures(rawValue: 0x0123_4567_89ab_cdef))),
        Sample(.getQueueCount, [], 0...0, .bit(0), .getQueueCount),
        Sample(.setVringEnable, state, 0...0, .bit30, .setVringEnable(stateValue)),
        Sample(.sendRARP, number, 0...0, .bit(2), .sendRARP(0x0123_4567_89ab_cdef)),
        Sample(
            .netSetMTU, [0x28, 0x23, 0, 0, 0, 0, 0, 0], 0...0, .bit(4), .netSetMTU(9000)),
        Sample(.setBackendRequestFD, [], 1...1, .bit(5), .setBackendRequestFD),
        Sample(.getConfig, config, 0...0, .bit(9), .getConfig(configValue)),
        Sample(.setConfig, config, 0...0, .bit(9), .setConfig(configValue)),
        Sample(.resetDevice, [], 0...0, .bit(13), .resetDevice),
        Sample(.getMaxMemorySlots, [], 0...0, .bit(15), .getMaxMemorySlots),
        Sample(
            .addMemoryRegion, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff] + region, 1...1,
            .bit(15), .addMemoryRegion(regionValue)),
        Sample(
            .removeMemoryRegion, [0, 0, 0, 0, 0, 0, 0, 0] + region, 0...1, .bit(15),
            .removeMemoryRegion(regionValue)),
        Sample(.setStatus, number, 0...0, .bit(16), .setStatus(0x0123_4567_89ab_cdef)),
        Sample(.getStatus, [], 0...0, .bit(16), .getStatus),
        Sample(.getInflightFD, inflight, 0...0, .bit(12), .getInflightFD(inflightValue)),
        Sample(.setInflightFD, inflight, 1...1, .bit(12), .setInflightFD(inflightValue)),
        Sample(
            .getVringBaseSkipDrain, state, 0...0, .bit(23), .getVringBaseSkipDrain(stateValue)),
    ]

    init(_ request: VhostUserRequest, _ message: Message) {
        self.init(request, [], 0...0, .open, message)
    }

    init(_ request: VhostUserRequest, _ payload: [UInt8], _ message: Message) {
        self.init(request, payload, 0...0, .open, message)
    }

    init(
        _ request: VhostUserRequest, _ payload: [UInt8], _ descriptors: ClosedRange<Int>,
        _ message: Message
    ) {
        self.init(request, payload, descriptors, .open, message)
    }

    static let withPayload = all.filter { !$0.payload.isEmpty }
    static let needingDescriptors = all.filter { $0.descriptors.lowerBound > 0 }
    static let gatedByProtocolFeature = all.filter { $0.bit != nil }

    /// The protocol feature that opens the message, if one does.
    var bit: UInt64? {
        guard case .bit(let number) = gate else { return nil }
        return number
    }
}
