/// How long a queue without work is watched before it is left to what wakes it.
///
/// Watching pays where the driver's next request comes sooner than its kick would take; then the
/// time grows, up to a bound. Where it comes later, watching was for nothing, and the time shrinks to
/// none. While something is in flight there is no watching: the store wakes us at no cost of its
/// own, and may need our very processor to get done.
struct Patience {
    private let most: UInt64
    private var current: UInt64
    /// When the work ended, or 0 while there is some, or while the store is waited for.
    private var idleSince: UInt64 = 0

    /// Below this, in nanoseconds, watching is over before it begins.
    private static let least: UInt64 = 1000

    init(microseconds: UInt32) {
        most = UInt64(microseconds) * 1000
        current = most
    }

    /// There was work.
    @inline(__always)
    mutating func worked() { idleSince = 0 }

    /// There was none. Whether it is time to sleep, `now` in nanoseconds.
    mutating func isOver(_ now: UInt64, isWaitedFor: Bool) -> Bool {
        guard !isWaitedFor else {
            idleSince = 0
            return true
        }
        if idleSince == 0 { idleSince = now }
        return now &- idleSince >= current
    }

    /// A kick came for a queue that was not watched any more.
    mutating func woken(_ now: UInt64) {
        guard idleSince != 0, most > 0 else { return }
        let gap = now &- idleSince
        idleSince = 0
        if gap < most {
            current = min(most, max(current, gap) * 2)
        } else {
            current = current / 2 < Self.least ? 0 : current / 2
        }
    }
}
