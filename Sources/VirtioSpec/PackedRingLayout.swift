/// Offsets and flags of a packed virtqueue (virtio 1.3 §2.8).
public enum PackedRingLayout {
    /// Bytes of one descriptor: address u64, length u32, id u16, flags u16 (§2.8.13).
    public static let descriptorBytes = 16
    public static let descriptorAlignment: UInt64 = 16
    public static let lengthOffset = 8
    public static let idOffset = 12
    public static let flagsOffset = 14

    /// VIRTQ_DESC_F_AVAIL and VIRTQ_DESC_F_USED, beside `DescriptorFlags` (§2.8.1). A descriptor is
    /// available where they differ and the first equals the driver's wrap counter; used where both
    /// equal the device's.
    public static let available: UInt16 = 1 << 7
    public static let used: UInt16 = 1 << 15

    /// Bytes of an event suppression structure: off_wrap u16, flags u16 (§2.8.14).
    public static let eventBytes = 4
    public static let eventAlignment: UInt64 = 4
    public static let eventFlagsOffset = 2

    /// The values of its flags (§2.8.10): any event, none, the one at `off_wrap`.
    public static let eventEnable: UInt16 = 0
    public static let eventDisable: UInt16 = 1
    public static let eventDescriptor: UInt16 = 2
    /// The wrap counter in `off_wrap`, above the descriptor's offset.
    public static let eventWrap: UInt16 = 1 << 15

    /// Bytes of the whole descriptor ring.
    public static func descriptorRingBytes(size: UInt16) -> Int { Int(size) * descriptorBytes }
}
