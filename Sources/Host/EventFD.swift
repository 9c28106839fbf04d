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

/// A kick, call or error descriptor that the other side chose: an eventfd as a rule. A pipe, a full
/// counter or a closed end must not hurt us, and above all must not make us wait.
public struct Notification: ~Copyable, Sendable {
    public enum Drained: Sendable { case drained, empty, dead }

    private let descriptor: OwnedFD
    private let mayBlock: Bool

    /// Nil where the descriptor is of a kind that carries no events: a file, a directory, a device.
    public init?(_ descriptor: consuming OwnedFD) {
        guard clinux_carries_events(descriptor.raw) != 0 else { return nil }
        mayBlock = clinux_is_nonblocking(descriptor.raw) == 0
        self.descriptor = descriptor
    }

    public var raw: Int32 { descriptor.raw }

    /// Another descriptor of the same events; nil where there is none to be had.
    public borrowing func duplicate() -> Notification? {
        guard let copy = try? descriptor.duplicate() else { return nil }
        return Notification(copy)
    }

    /// Writes one event, or none where there is no room for it: then one waits there already.
    public borrowing func signal() {
        if mayBlock {
            var set = PollSet()
            set.add(raw, output: true)
            guard set.wait(milliseconds: 0) > 0 else { return }
        }
        Self.signal(raw)
    }

    /// Reads the pending events without waiting, whatever mode the descriptor is in.
    public borrowing func drain() -> Drained { Self.drain(raw) }

    /// Writes one event to a descriptor of our own.
    public static func signal(_ raw: Int32) {
        var one: UInt64 = 1
        _ = unsafe CLinux.write(raw, &one, 8)
    }

    /// Takes the events of a descriptor of our own.
    public static func drain(_ raw: Int32) -> Drained {
        var count: UInt64 = 0
        let got = unsafe clinux_read_now(raw, &count, 8)
        if got > 0 { return .drained }
        return got == -Int(EAGAIN) || got == -Int(EINTR) ? .empty : .dead
    }
}
