import VirtioSpec

/// How a write is kept when it is acknowledged.
public enum CacheMode: String, CaseIterable, Sendable {
    /// In the host's page cache until the driver flushes.
    case writeback
    /// On stable storage, always.
    case writethrough
    /// Past the host's page cache; durable when flushed.
    case direct
}

/// What the operator says about a disk.
public struct BlockOptions: Sendable {
    /// Bytes of the disk, a multiple of `blockSize`.
    public var byteCount: UInt64
    /// Bytes of a logical block: 512 or 4096.
    public var blockSize: UInt32
    public var isReadOnly: Bool
    /// At most 20 bytes of it are shown.
    public var serial: String
    public var queueCount: Int
    public var largestQueue: UInt32
    /// Whether discarding and unmapping are offered.
    public var canDiscard: Bool
    public var cache: CacheMode

    public init(
        byteCount: UInt64, blockSize: UInt32 = 512, isReadOnly: Bool = false, serial: String = "",
        queueCount: Int = 1, largestQueue: UInt32 = 1024, canDiscard: Bool = true,
        cache: CacheMode = .writeback
    ) {
        self.byteCount = byteCount
        self.blockSize = blockSize
        self.isReadOnly = isReadOnly
        self.serial = serial
        self.queueCount = queueCount
        self.largestQueue = largestQueue
        self.canDiscard = canDiscard
        self.cache = cache
    }

    /// Ranges in one DISCARD or WRITE_ZEROES.
    public static let rangesPerRequest = 16
    /// Segments that a driver is advised to use; any number that fits a chain works. A driver
    /// without indirect descriptors needs one for each, and two more: this many fit the ring of 128
    /// that is usual, where a request with more would wait for room for ever.
    public static let segmentsAdvised: UInt32 = 126
    /// Sectors of one range: 1 GiB, so that no single range holds up a queue for long.
    public static let sectorsPerRange: UInt32 = 2 << 20
    /// Bytes of the physical block that I/O is best aligned to.
    static let physicalBlock: UInt32 = 4096
}
