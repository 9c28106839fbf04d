import GuestMemory

/// Both positions of a packed ring, as GET_VRING_BASE and SET_VRING_BASE carry them: the available
/// one in bits 0 to 15, the used one in bits 16 to 31, each an index and its wrap counter.
@frozen
public struct PackedBase: Equatable, Sendable {
    public var available: RingPosition
    public var used: RingPosition

    /// A ring that has never run.
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
        let lower = UInt16(truncatingIfNeeded: vringBase)
        let upper = UInt16(truncatingIfNeeded: vringBase >> 16)
        guard let available = RingPosition(word: lower, size: size),
            let used = RingPosition(word: upper == 0 ? lower : upper, size: size)
        else { return nil }
        self.available = available
        self.used = used
    }

    public var vringBase: UInt32 { UInt32(available.word) | UInt32(used.word) << 16 }
}
