/// vhost-user's request ids, front-end to back-end.
public enum VhostUserRequest: UInt32, CaseIterable, Sendable {
    case getFeatures = 1
    case setFeatures = 2
    case setOwner = 3
    case resetOwner = 4
    case setMemoryTable = 5
    case setLogBase = 6
    case setLogFD = 7
    case setVringNum = 8
    case setVringAddress = 9
    case setVringBase = 10
    case getVringBase = 11
    case setVringKick = 12
    case setVringCall = 13
    case setVringError = 14
    case getProtocolFeatures = 15
    case setProtocolFeatures = 16
    case getQueueCount = 17
    case setVringEnable = 18
    case sendRARP = 19
    case netSetMTU = 20
    case setBackendRequestFD = 21
    case iotlb = 22
    case setVringEndian = 23
    case getConfig = 24
    case setConfig = 25
    case createCryptoSession = 26
    case closeCryptoSession = 27
    case postcopyAdvise = 28
    case postcopyListen = 29
    case postcopyEnd = 30
    case getInflightFD = 31
    case setInflightFD = 32
    case gpuSetSocket = 33
    case resetDevice = 34
    case vringKick = 35
    case getMaxMemorySlots = 36
    case addMemoryRegion = 37
    case removeMemoryRegion = 38
    case setStatus = 39
    case getStatus = 40
    case getSharedObject = 41
    case setDeviceStateFD = 42
    case checkDeviceState = 43
    case getSharedMemoryConfig = 44
    case getVringBaseSkipDrain = 45
}

/// vhost-user's request ids, back-end to front-end, of those that Ringway sends.
public enum VhostUserBackendRequest: UInt32, Sendable {
    case configurationChange = 2
}

/// vhost-user's protocol feature bits.
public struct ProtocolFeatures: OptionSet, Hashable, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    static func bit(_ number: UInt64) -> ProtocolFeatures {
        ProtocolFeatures(rawValue: 1 << number)
    }

    public static let multiqueue = bit(0)
    public static let logSharedMemory = bit(1)
    public static let rarp = bit(2)
    public static let replyAck = bit(3)
    public static let netMTU = bit(4)
    public static let backendRequests = bit(5)
    public static let config = bit(9)
    public static let inflight = bit(12)
    public static let resetDevice = bit(13)
    public static let memorySlots = bit(15)
    public static let status = bit(16)
    public static let getVringBaseInflight = bit(20)
    public static let getVringBaseSkipDrain = bit(23)
}

/// The header before every message: request u32, flags u32, payload size u32, in host byte order.
public enum VhostUserHeader {
    public static let bytes = 12
    public static let versionMask: UInt32 = 0x3
    public static let version: UInt32 = 0x1
    public static let reply: UInt32 = 0x4
    public static let needReply: UInt32 = 0x8
}

/// Sizes and limits of vhost-user payloads, in bytes where not said otherwise.
public enum VhostUserLayout {
    /// guest address, size, user address, mmap offset: u64 each.
    public static let memoryRegionBytes = 32
    /// Regions in one SET_MEM_TABLE.
    public static let memoryTableRegions = 8
    /// Regions by ADD_MEM_REG, as many as Linux guests can use.
    public static let memorySlots = 509
    /// offset u32, size u32, flags u32, then `size` bytes.
    public static let configHeaderBytes = 12
    public static let configBytes = 256
    /// Bits 0 to 7 of a kick, call or error payload.
    public static let vringIndexMask: UInt64 = 0xff
    /// Bit 8 of such a payload: no descriptor came along.
    public static let noDescriptor: UInt64 = 0x100
    /// Descriptors in one message.
    public static let descriptors = 8
}
