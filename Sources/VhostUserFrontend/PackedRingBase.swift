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
