import VirtioSpec

/// A front-end's message, decoded and of the right shape; its values are yet to be judged.
public enum Message: Equatable, Sendable {
    case getFeatures
    case setFeatures(Features)
    case setOwner
    case resetOwner
    case setMemoryTable([MemoryRegion])
    case setVringNum(VringState)
    case setVringAddress(VringAddress)
    case setVringBase(VringState)
    case getVringBase(VringState)
    case setVringKick(VringFD)
    case setVringCall(VringFD)
    case setVringError(VringFD)
    case getProtocolFeatures
    case setProtocolFeatures(ProtocolFeatures)
    case getQueueCount
    case setVringEnable(VringState)
    case sendRARP(UInt64)
    case netSetMTU(UInt64)
    case setBackendRequestFD
    case getConfig(ConfigAccess)
    case setConfig(ConfigAccess)
    case resetDevice
    case getMaxMemorySlots
    case addMemoryRegion(MemoryRegion)
    case removeMemoryRegion(MemoryRegion)
    case setStatus(UInt64)
    case getStatus
    case getInflightFD(InflightDescription)
    case setInflightFD(InflightDescription)
    case getVringBaseSkipDrain(VringState)
}

/// A ring's index and a number about it.
public struct VringState: Equatable, Sendable {
    public let index: UInt32
    public let value: UInt32
}

/// Where a ring's parts are, by user address.
public struct VringAddress: Equatable, Sendable {
    public let index: UInt32
    public let flags: UInt32
    public let descriptors: UInt64
    public let used: UInt64
    public let available: UInt64
    public let log: UInt64
}

/// A ring's index and whether a descriptor should have come with it.
public struct VringFD: Equatable, Sendable {
    public let index: UInt32
    public let hasDescriptor: Bool

    init(_ payload: UInt64) {
        index = UInt32(payload & VhostUserLayout.vringIndexMask)
        hasDescriptor = payload & VhostUserLayout.noDescriptor == 0
    }
}

/// Where the buffer of requests in flight lies in its file, in bytes, and for how many queues of
/// which size it is.
public struct InflightDescription: Equatable, Sendable {
    public let byteCount: UInt64
    public let offset: UInt64
    public let queueCount: UInt16
    public let queueSize: UInt16

    public init(byteCount: UInt64, offset: UInt64, queueCount: UInt16, queueSize: UInt16) {
        self.byteCount = byteCount
        self.offset = offset
        self.queueCount = queueCount
        self.queueSize = queueSize
    }
}

/// A piece of configuration space to read or to write.
public struct ConfigAccess: Equatable, Sendable {
    public let offset: UInt32
    public let flags: UInt32
    /// As long as the piece; on a read, its contents mean nothing.
    public let bytes: [UInt8]
}

extension Message {
    /// What was negotiated so far, for the rules' gates.
    public struct Negotiated: Sendable {
        public var features: Features = []
        public var protocolFeatures: ProtocolFeatures = []
        public init() {}
    }

    /// Decodes a message by its rule. `descriptors` is how many came along.
    public static func decode(
        _ header: MessageHeader, _ payload: [UInt8], descriptors: Int, negotiated: Negotiated
    ) throws(ProtocolViolation) -> Message {
        guard let request = VhostUserRequest(rawValue: header.request) else {
            throw .unknownRequest(header.request)
        }
        guard let rule = Rule.of(request) else { throw .notServed(request) }
        guard rule.gate.isOpen(negotiated) else { throw .notNegotiated(request) }
        guard rule.descriptors.contains(descriptors) else {
            throw .descriptorCount(request, descriptors)
        }
        try rule.payload.check(request, payload)
        return decode(request, payload)
    }

    /// The payload has the right size by now.
    private static func decode(_ request: VhostUserRequest, _ payload: [UInt8]) -> Message {
        var reader = ByteReader(payload)
        switch request {
        case .setFeatures: return .setFeatures(Features(rawValue: reader.u64()))
        case .setOwner: return .setOwner
        case .resetOwner: return .resetOwner
        case .setMemoryTable: return .setMemoryTable(reader.regions())
        case .setVringNum: return .setVringNum(reader.vringState())
        case .setVringAddress: return .setVringAddress(reader.vringAddress())
        case .setVringBase: return .setVringBase(reader.vringState())
        case .getVringBase: return .getVringBase(reader.vringState())
        case .setVringKick: return .setVringKick(VringFD(reader.u64()))
        case .setVringCall: return .setVringCall(VringFD(reader.u64()))
        case .setVringError: return .setVringError(VringFD(reader.u64()))
        case .getProtocolFeatures: return .getProtocolFeatures
        case .setProtocolFeatures:
            return .setProtocolFeatures(ProtocolFeatures(rawValue: reader.u64()))
        case .getQueueCount: return .getQueueCount
        case .setVringEnable: return .setVringEnable(reader.vringState())
        case .sendRARP: return .sendRARP(reader.u64())
        case .netSetMTU: return .netSetMTU(reader.u64())
        case .setBackendRequestFD: return .setBackendRequestFD
        case .getConfig: return .getConfig(reader.config())
        case .setConfig: return .setConfig(reader.config())
        case .resetDevice: return .resetDevice
        case .getMaxMemorySlots: return .getMaxMemorySlots
        case .addMemoryRegion: return .addMemoryRegion(reader.singleRegion())
        case .removeMemoryRegion: return .removeMemoryRegion(reader.singleRegion())
        case .setStatus: return .setStatus(reader.u64())
        case .getStatus: return .getStatus
        case .getInflightFD: return .getInflightFD(reader.inflight())
        case .setInflightFD: return .setInflightFD(reader.inflight())
        case .getVringBaseSkipDrain: return .getVringBaseSkipDrain(reader.vringState())
        case .getFeatures: return .getFeatures
        default: preconditionFailure("\(request) has a rule and no decoding")
        }
    }
}

extension Rule.Gate {
    func isOpen(_ negotiated: Message.Negotiated) -> Bool {
        switch self {
        case .open: true
        case .protocolFeatures:
            negotiated.features.contains(.protocolFeatures)
                || !negotiated.protocolFeatures.isEmpty
        case .feature(let feature): negotiated.protocolFeatures.contains(feature)
        }
    }
}

extension Rule.Payload {
    func check(_ request: VhostUserRequest, _ payload: [UInt8]) throws(ProtocolViolation) {
        var reader = ByteReader(payload)
        switch self {
        case .bytes(let count):
            guard payload.count == count else { throw .payloadSize(request, payload.count) }
        case .memoryTable:
            let regions = Int(reader.u32())
            guard regions <= VhostUserLayout.memoryTableRegions else {
                throw .tooManyRegions(regions)
            }
            guard payload.count == 8 + regions * VhostUserLayout.memoryRegionBytes else {
                throw .payloadSize(request, payload.count)
            }
        case .config:
            _ = reader.u32()
            let size = Int(reader.u32())
            guard payload.count == VhostUserLayout.configHeaderBytes + size else {
                throw .payloadSize(request, payload.count)
            }
        }
    }
}

extension ByteReader {
    mutating func vringState() -> VringState { VringState(index: u32(), value: u32()) }

    mutating func vringAddress() -> VringAddress {
        VringAddress(
            index: u32(), flags: u32(), descriptors: u64(), used: u64(), available: u64(),
            log: u64())
    }

    /// Four bytes of padding follow, which the specification's text does not show.
    mutating func inflight() -> InflightDescription {
        InflightDescription(
            byteCount: u64(), offset: u64(), queueCount: u16(), queueSize: u16())
    }

    mutating func region() -> MemoryRegion {
        MemoryRegion(
            guestAddress: u64(), byteCount: u64(), userAddress: u64(), fileOffset: u64())
    }

    mutating func singleRegion() -> MemoryRegion {
        _ = u64()  // padding
        return region()
    }

    mutating func regions() -> [MemoryRegion] {
        let count = u32()
        _ = u32()  // padding
        return (0..<count).map { _ in region() }
    }

    mutating func config() -> ConfigAccess {
        let offset = u32()
        _ = u32()  // the size, which the rule has compared with what follows
        return ConfigAccess(offset: offset, flags: u32(), bytes: rest())
    }
}
