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

/// Where a packed ring goes on, as SET_VRING_BASE and GET_VRING_BASE carry it: available index in
/// bits 0 to 14 and its wrap counter in 15, used index in bits 16 to 30 and its wrap counter in 31.
public struct PackedRingBase: Equatable, Sendable {
    public var availableIndex: UInt16
    public var availableWrap: Bool
    public var usedIndex: UInt16
    public var usedWrap: Bool

    /// A ring that has never run: both at 0, both wrap counters 1 (§2.8.1).
    public static let fresh = PackedRingBase(at: 0, wrap: true)

    /// A ring with nothing in flight.
    public init(at index: UInt16, wrap: Bool) {
        availableIndex = index
        availableWrap = wrap
        usedIndex = index
        usedWrap = wrap
    }

    public init(rawValue: UInt32) {
        availableIndex = UInt16(truncatingIfNeeded: rawValue & 0x7fff)
        availableWrap = rawValue & 1 << 15 != 0
        usedIndex = UInt16(truncatingIfNeeded: rawValue >> 16 & 0x7fff)
        usedWrap = rawValue & 1 << 31 != 0
    }

    public var rawValue: UInt32 {
        UInt32(availableIndex & 0x7fff) | (availableWrap ? 1 << 15 : 0)
            | UInt32(usedIndex & 0x7fff) << 16 | (usedWrap ? 1 << 31 : 0)
    }
}
