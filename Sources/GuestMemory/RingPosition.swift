import VirtioSpec

/// A place in a packed ring: a descriptor's index, and the wrap counter that flips each time the
/// ring's end is passed (virtio 1.3 §2.8.1).
///
/// Invariant: the index is below the size that the position was made for, and that it is moved by.
/// `PackedRingMemory` relies on it: a position is used with rings of that size only.
@frozen
public struct RingPosition: Equatable, Sendable {
    @usableFromInline var place: UInt16
    /// All ones where the wrap counter is 1, else 0.
    @usableFromInline var round: UInt16

    /// Where a fresh ring begins: at its first descriptor, with the wrap counter set.
    public static let start = RingPosition(place: 0, wrap: true)

    @inlinable
    init(place: UInt16, wrap: Bool) {
        self.place = place
        round = wrap ? .max : 0
    }

    /// Index in bits 0 to 14, wrap counter in bit 15: as in an event's place and in a ring's base.
    /// Nil where the index is not below `size`.
    @inlinable
    @inline(__always)
    public init?(word: UInt16, size: UInt16) {
        place = word & ~PackedRingLayout.eventWrap
        round = word & PackedRingLayout.eventWrap != 0 ? .max : 0
        guard place < size else { return nil }
    }

    @inlinable public var index: UInt16 { place }
    @inlinable public var wrap: Bool { round != 0 }
    @inlinable public var word: UInt16 { place | (wrap ? PackedRingLayout.eventWrap : 0) }

    /// Whether a descriptor here with these flags has been made available on this round (§2.8.1).
    @inlinable
    @inline(__always)
    public func isAvailable(_ flags: UInt16) -> Bool {
        // Available like the wrap counter, used unlike it.
        (flags ^ round ^ PackedRingLayout.used)
            & (PackedRingLayout.available | PackedRingLayout.used) == 0
    }

    /// The flags that mark a descriptor here as used.
    @inlinable
    @inline(__always)
    public var usedFlags: UInt16 {
        round & (PackedRingLayout.available | PackedRingLayout.used)
    }

    /// The flags that mark a descriptor here as available.
    public var availableFlags: UInt16 {
        wrap ? PackedRingLayout.available : PackedRingLayout.used
    }

    /// Goes on by `count` descriptors, at most `size`.
    @inlinable
    @inline(__always)
    public mutating func advance(by count: UInt16, size: UInt16) {
        // Both are at most 32768, and the index is less: no overflow.
        place &+= count
        guard place >= size else { return }
        place &-= size
        round = ~round
    }

    /// Goes back by `count` descriptors, at most `size`.
    @inlinable
    public mutating func retreat(by count: UInt16, size: UInt16) {
        if place < count {
            place &+= size
            round = ~round
        }
        place &-= count
    }

    /// Descriptors from here on to `other`, on the two rounds that wrap counters tell apart: 0 to
    /// 2 * size - 1.
    @inlinable
    @inline(__always)
    public func steps(to other: RingPosition, size: UInt16) -> UInt32 {
        let rounds = 2 * UInt32(size)
        let here = UInt32(place) + (wrap ? 0 : UInt32(size))
        let there = UInt32(other.place) + (other.wrap ? 0 : UInt32(size))
        return there >= here ? there &- here : there &+ rounds &- here
    }
}
