import CLinux

/// An eventfd of our own: a counter that wakes whoever waits on it.
public struct EventFD: ~Copyable, Sendable {
    public let descriptor: OwnedFD

    public init() throws(SystemError) {
        let raw = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        guard raw >= 0 else { throw SystemError.last("eventfd") }
        descriptor = OwnedFD(adopting: raw)
    }

    /// Adds one: the other side wakes.
    public borrowing func signal() { Notification.signal(descriptor.raw) }

    /// Takes the count, or returns false where nothing was signalled.
    @discardableResult
    public borrowing func drain() -> Bool { Notification.drain(descriptor.raw) == .drained }

    /// Waits until signalled or until `milliseconds` have passed (-1: for ever). True if signalled.
    public borrowing func wait(milliseconds: Int32) -> Bool {
        var set = PollSet()
        set.add(descriptor.raw)
        guard set.wait(milliseconds: milliseconds) > 0 else { return false }
        return drain()
    }
}

/// Kicks, calls and errors on descriptors that the other side chose: an eventfd as a rule, but a
/// pipe, a full counter or a closed end must not hurt us.
public enum Notification {
    public enum Drained: Sendable { case drained, empty, dead }

    /// Writes one event. A full counter or a closed peer is no error: the event is lost on nobody
    /// who listens.
    public static func signal(_ raw: Int32) {
        var one: UInt64 = 1
        _ = unsafe write(raw, &one, 8)
    }

    /// Reads the pending events without waiting, whatever mode the descriptor is in.
    public static func drain(_ raw: Int32) -> Drained {
        var count: UInt64 = 0
        let got = unsafe clinux_read_now(raw, &count, 8)
        if got > 0 { return .drained }
        return got == -Int(EAGAIN) || got == -Int(EINTR) ? .empty : .dead
    }
}
