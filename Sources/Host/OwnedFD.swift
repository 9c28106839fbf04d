import CLinux

/// A file descriptor with one owner, closed when the owner lets go.
public struct OwnedFD: ~Copyable, Sendable {
    /// The number, to hand to a system call. Valid while the owner lives.
    public let raw: Int32

    /// Takes `raw` over: nobody else may close it.
    public init(adopting raw: Int32) { self.raw = raw }

    deinit { close(raw) }

    /// Another descriptor of the same open file.
    public borrowing func duplicate() throws(SystemError) -> OwnedFD {
        let copy = clinux_duplicate(raw)
        guard copy >= 0 else { throw SystemError("dup", -copy) }
        return OwnedFD(adopting: copy)
    }

    /// Gives the number away unclosed.
    public consuming func release() -> Int32 {
        let number = raw
        discard self
        return number
    }
}

/// The descriptors that came with one message; what nobody takes is closed.
public struct ReceivedFDs: ~Copyable {
    /// Kept at most; a message with more is refused by every rule, so the rest are closed at once.
    public static let capacity = 8

    private var slots: InlineArray<8, OwnedFD?>
    /// How many the sender attached; more than `capacity` where it sent too many.
    public private(set) var count: Int

    public init() {
        slots = InlineArray { _ in nil }
        count = 0
    }

    mutating func adopt(_ raw: Int32) {
        if count < Self.capacity {
            slots[count] = OwnedFD(adopting: raw)
        } else {
            close(raw)
        }
        count += 1
    }

    mutating func noteTotal(_ total: Int) { count = max(count, total) }

    /// Hands over descriptor `index`, or nothing where there is none or it was taken.
    public mutating func take(_ index: Int) -> OwnedFD? {
        guard index >= 0, index < Self.capacity else { return nil }
        return slots[index].take()
    }
}
