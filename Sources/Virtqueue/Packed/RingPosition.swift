import VirtioSpec

/// A place in a packed ring: a descriptor's index, and the wrap counter that flips each time the
/// ring's end is passed (virtio 1.3 §2.8.1).
@frozen
public struct RingPosition: Equatable, Sendable {
    public var index: UInt16
    public var wrap: Bool

    /// Where a fresh ring begins: at its first descriptor, with the wrap counter set.
    public static let start = RingPosition(index: 0, wrap: true)

    @inlinable
    public init(index: UInt16, wrap: Bool) {
        self.index = index
        self.wrap = wrap
    }

    /// Goes on by `count` descriptors, at most `size`.
    @inlinable
    @inline(__always)
    mutating func advance(by count: UInt16, size: UInt16) {
        index += count  // Both are at most 32768 and the index less: no overflow.
        guard index >= size else { return }
        index -= size
        wrap.toggle()
    }

    /// Index in bits 0 to 14, wrap counter in bit 15: as in an event's place and in a ring's base.
    @inlinable var word: UInt16 { index | (wrap ? PackedRingLayout.eventWrap : 0) }

    @inlinable
    init(word: UInt16) {
        index = word & ~PackedRingLayout.eventWrap
        wrap = word & PackedRingLayout.eventWrap != 0
    }

    /// Descriptors from here on to `other`, on the two rounds that wrap counters tell apart: 0 to
    /// 2 * size - 1.
    @inlinable
    @inline(__always)
    func steps(to other: RingPosition, size: UInt16) -> UInt32 {
        let rounds = 2 * UInt32(size)
        let here = UInt32(index) + (wrap ? 0 : UInt32(size))
        let there = UInt32(other.index) + (other.wrap ? 0 : UInt32(size))
        return there >= here ? there - here : there + rounds - here
    }
}

/// Both positions of a packed ring, as GET_VRING_BASE and SET_VRING_BASE carry them: the available
/// one in bits 0 to 15, the used one in bits 16 to 31, each an index and its wrap counter.
@frozen
public struct PackedBase: Equatable, Sendable {
    public var available: RingPosition
    public var used: RingPosition

    public static let start = PackedBase(available: .start, used: .start)

    public init(available: RingPosition, used: RingPosition) {
        self.available = available
        self.used = used
    }

    /// Nil where an index is not below `size`.
    ///
    /// An upper half of zero is taken for none at all: front-ends are about that send the available
    /// half alone, and mean that nothing is in flight. It can mean "index 0, second round" only for
    /// a ring whose back-end left chains in flight, and those are told by the inflight buffer.
    public init?(vringBase: UInt32, size: UInt16) {
        available = RingPosition(word: UInt16(truncatingIfNeeded: vringBase))
        let upper = UInt16(truncatingIfNeeded: vringBase >> 16)
        used = upper == 0 ? available : RingPosition(word: upper)
        guard available.index < size, used.index < size else { return nil }
    }

    public var vringBase: UInt32 { UInt32(available.word) | UInt32(used.word) << 16 }
}
