/// How long a queue without work is watched before it is left to what wakes it.
///
/// Watching pays where the next work comes sooner than a wake-up would take; then the time grows, up
/// to a bound. Where it comes later, watching was for nothing, and the time shrinks to none. The
/// driver has a time of its own, and so has the store while something is in flight there.
struct Patience {
    private let most: UInt64
    private var forDriver: UInt64
    private var forStore: UInt64
    private var waitsForStore = false
    /// When the work ended, or 0 while there is some.
    private var idleSince: UInt64 = 0

    /// Below this, in nanoseconds, watching is over before it begins.
    private static let least: UInt64 = 1000

    init(microseconds: UInt32) {
        most = UInt64(microseconds) * 1000
        forDriver = most
        forStore = most
    }

    /// There was work.
    @inline(__always)
    mutating func worked() { idleSince = 0 }

    /// There was none. Whether it is time to sleep, `now` in nanoseconds.
    mutating func isOver(_ now: UInt64, inFlight: Int) -> Bool {
        if idleSince == 0 {
            idleSince = now
            waitsForStore = inFlight > 0
        }
        return now &- idleSince >= (waitsForStore ? forStore : forDriver)
    }

    /// A kick or a completion came for a queue that was not watched any more.
    mutating func woken(_ now: UInt64) {
        guard idleSince != 0, most > 0 else { return }
        if waitsForStore {
            forStore = learned(forStore, gap: now &- idleSince)
        } else {
            forDriver = learned(forDriver, gap: now &- idleSince)
        }
        idleSince = 0
    }

    private func learned(_ current: UInt64, gap: UInt64) -> UInt64 {
        if gap < most { return min(most, max(current, gap) * 2) }
        return current / 2 < Self.least ? 0 : current / 2
    }
}
