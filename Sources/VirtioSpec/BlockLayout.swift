/// virtio-blk on the wire (virtio 1.3 §5.2).
public enum BlockLayout {
    /// The unit of `sector` and of `capacity`, whatever the block size.
    public static let sectorBytes: UInt64 = 512
    /// Request header: type u32, reserved u32, sector u64.
    public static let headerBytes = 16
    /// One range of a DISCARD or WRITE_ZEROES: sector u64, num_sectors u32, flags u32.
    public static let rangeBytes = 16
    /// Bytes of a GET_ID answer.
    public static let identifierBytes = 20
    /// Bit 0 of a range's flags; the others are reserved.
    public static let rangeUnmap: UInt32 = 1
}

/// `type` of a block request (§5.2.6).
public enum BlockRequestType {
    public static let `in`: UInt32 = 0
    public static let out: UInt32 = 1
    public static let flush: UInt32 = 4
    public static let getID: UInt32 = 8
    public static let discard: UInt32 = 11
    public static let writeZeroes: UInt32 = 13
}

/// The byte that ends every block request (§5.2.6).
public enum BlockStatus: UInt8, Sendable {
    case ok = 0
    case ioError = 1
    case unsupported = 2
}

/// Offsets in the block device's configuration space (§5.2.4).
public enum BlockConfigOffset {
    public static let capacity = 0
    public static let sizeMax = 8
    public static let segMax = 12
    public static let geometry = 16
    public static let blockSize = 20
    public static let physicalBlockExponent = 24
    public static let alignmentOffset = 25
    public static let minimumIO = 26
    public static let optimalIO = 28
    public static let writeback = 32
    public static let queueCount = 34
    public static let maxDiscardSectors = 36
    public static let maxDiscardSegments = 40
    public static let discardAlignment = 44
    public static let maxWriteZeroesSectors = 48
    public static let maxWriteZeroesSegments = 52
    public static let writeZeroesMayUnmap = 56
    /// Bytes of the fields above. What lies beyond reads as zero.
    public static let end = 60
}

extension Features {
    public static let blockSizeMax = bit(1)
    public static let blockSegMax = bit(2)
    public static let blockReadOnly = bit(5)
    public static let blockSize = bit(6)
    public static let blockFlush = bit(9)
    public static let blockTopology = bit(10)
    public static let blockConfigWriteback = bit(11)
    public static let blockMultiqueue = bit(12)
    public static let blockDiscard = bit(13)
    public static let blockWriteZeroes = bit(14)
}
