import CLinux

/// A handful of descriptors to wait on, for control threads; workers wait in their io_uring.
public struct PollSet {
    private var entries: [pollfd] = []

    public init() {}

    /// Watches `raw` for input; -1 keeps the place and watches nothing. Returns its place.
    @discardableResult
    public mutating func add(_ raw: Int32, output: Bool = false) -> Int {
        let events = Int16(output ? POLLOUT : POLLIN)
        entries.append(pollfd(fd: raw, events: events, revents: 0))
        return entries.count - 1
    }

    /// Waits for any of them, at most `milliseconds` (-1: for ever). Returns how many are ready.
    public mutating func wait(milliseconds: Int32) -> Int {
        let count = entries.count
        let start = Clock.nanoseconds()
        var left = milliseconds
        while true {
            let ready = unsafe entries.withUnsafeMutableBufferPointer {
                unsafe poll($0.baseAddress, nfds_t(count), left)
            }
            // Being stopped and continued ends a poll, and is no event.
            guard ready < 0, clinux_errno() == EINTR else { return max(0, Int(ready)) }
            guard milliseconds > 0 else { continue }
            let passed = (Clock.nanoseconds() - start) / 1_000_000
            left = passed < UInt64(milliseconds) ? milliseconds - Int32(passed) : 0
        }
    }

    /// Waits for any of them, at most `nanoseconds` and not beyond what a signal interrupts. Returns
    /// how many are ready.
    public mutating func wait(nanoseconds: UInt64) -> Int {
        let count = entries.count
        var span = timespec()
        span.tv_sec = Int(nanoseconds / 1_000_000_000)
        span.tv_nsec = Int(nanoseconds % 1_000_000_000)
        let ready = unsafe entries.withUnsafeMutableBufferPointer {
            unsafe ppoll($0.baseAddress, nfds_t(count), &span, nil)
        }
        return max(0, Int(ready))
    }

    /// Whether the descriptor at `place` has something for us: data, a hang-up or an error.
    public func isReady(_ place: Int) -> Bool { entries[place].revents != 0 }
}
