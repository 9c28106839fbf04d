/// Offsets and flags of a split virtqueue (virtio 1.3 §2.7).
public enum SplitRingLayout {
    /// Bytes of one descriptor: address u64, length u32, flags u16, next u16 (§2.7.5).
    public static let descriptorBytes = 16
    public static let descriptorAlignment: UInt64 = 16
    public static let availableAlignment: UInt64 = 2
    public static let usedAlignment: UInt64 = 4

    // Available ring (§2.7.6): flags u16, idx u16, ring u16[size], used_event u16.
    public static let availableFlags = 0
    public static let availableIndex = 2
    public static let availableRing = 4
    public static let availableEntryBytes = 2

    // Used ring (§2.7.8): flags u16, idx u16, ring {id u32, len u32}[size], avail_event u16.
    public static let usedFlags = 0
    public static let usedIndex = 2
    public static let usedRing = 4
    public static let usedEntryBytes = 8

    /// VIRTQ_AVAIL_F_NO_INTERRUPT: the driver asks for no call.
    public static let noInterrupt: UInt16 = 1
    /// VIRTQ_USED_F_NO_NOTIFY: the device asks for no kick.
    public static let noNotify: UInt16 = 1

    /// Bytes of the whole descriptor table.
    public static func descriptorTableBytes(size: UInt16) -> Int { Int(size) * descriptorBytes }
    /// Bytes of the available ring, `used_event` included.
    public static func availableBytes(size: UInt16) -> Int { availableRing + Int(size) * 2 + 2 }
    /// Bytes of the used ring, `avail_event` included.
    public static func usedBytes(size: UInt16) -> Int { usedRing + Int(size) * 8 + 2 }
}

/// Flags of a descriptor (virtio 1.3 §2.7.5).
public enum DescriptorFlags {
    public static let next: UInt16 = 1
    public static let write: UInt16 = 2
    public static let indirect: UInt16 = 4
}

/// The largest queue virtio knows (§2.7).
public let largestQueueSize: UInt32 = 32_768
