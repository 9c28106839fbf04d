/// The buffer in which a back-end keeps what it has in flight, for whoever runs the rings after it
/// (vhost-user, "Inflight I/O tracking"): a region for each queue, one after the other. Both forms
/// begin alike: features u64, version u16, desc_num u16.
public enum InflightLayout {
    /// A region's size is a multiple of this, in bytes.
    public static let alignment = 64
    public static let features = 0
    public static let version = 8
    public static let descriptorCount = 10

    /// The version that there is; zero means a region that nobody has used yet.
    public static let currentVersion: UInt16 = 1

    static func aligned(_ bytes: Int) -> Int { (bytes + alignment - 1) / alignment * alignment }

    /// Bytes of a region that suits a ring of either form.
    public static func bytes(size: UInt16) -> Int {
        max(SplitInflightLayout.bytes(size: size), PackedInflightLayout.bytes(size: size))
    }
}

/// A split ring's region (QueueRegionSplit).
public enum SplitInflightLayout {
    public static let lastBatchHead = 12
    public static let usedIndex = 14
    public static let entries = 16

    // An entry (DescStateSplit): inflight u8, padding, next u16, counter u64.
    public static let entryBytes = 16
    public static let inflight = 0
    public static let next = 6
    public static let counter = 8

    /// Bytes of a region for `size` descriptors.
    public static func bytes(size: UInt16) -> Int {
        InflightLayout.aligned(entries + Int(size) * entryBytes)
    }
}

/// A packed ring's region (QueueRegionPacked).
public enum PackedInflightLayout {
    public static let freeHead = 12
    public static let oldFreeHead = 14
    /// used_idx u16, old_used_idx u16, used_wrap_counter u8, old_used_wrap_counter u8: within one
    /// aligned u64, the rest of which is padding.
    public static let used = 16
    public static let entries = 32

    // An entry (DescStatePacked): inflight u8, padding u8, next u16, last u16, num u16, counter u64,
    // id u16, flags u16, len u32, addr u64.
    public static let entryBytes = 32
    public static let inflight = 0
    public static let next = 2
    public static let last = 4
    public static let count = 6
    public static let counter = 8
    public static let descriptor = 16
    public static let address = 24

    /// Bytes of a region for `size` descriptors.
    public static func bytes(size: UInt16) -> Int {
        InflightLayout.aligned(entries + Int(size) * entryBytes)
    }
}
