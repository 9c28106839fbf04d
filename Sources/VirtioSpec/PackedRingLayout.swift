/// Offsets and flags of a packed virtqueue (virtio 1.3 §2.8).
public enum PackedRingLayout {
    /// Bytes of one descriptor: address u64, length u32, buffer id u16, flags u16 (§2.8.13).
    public static let descriptorBytes = 16
    public static let descriptorAlignment: UInt64 = 16
    public static let lengthOffset = 8
    public static let idOffset = 12
    public static let flagsOffset = 14

    /// VIRTQ_DESC_F_AVAIL and VIRTQ_DESC_F_USED (§2.8.1): what each side sets by its wrap counter.
    public static let available: UInt16 = 1 << 7
    public static let used: UInt16 = 1 << 15

    /// An event suppression structure (§2.8.14): offset and wrap counter u16, flags u16.
    public static let eventBytes = 4
    public static let eventAlignment: UInt64 = 4
    public static let eventEnable: UInt16 = 0
    public static let eventDisable: UInt16 = 1
    /// For one descriptor only, with EVENT_IDX.
    public static let eventDescriptor: UInt16 = 2
    /// The wrap counter in an event's first word, beside the offset.
    public static let eventWrap: UInt16 = 1 << 15

    /// Bytes of the whole descriptor ring.
    public static func descriptorRingBytes(size: UInt16) -> Int { Int(size) * descriptorBytes }
}
