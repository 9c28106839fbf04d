/// How long a queue without work is watched before it is left to its kick.
///
/// Watching pays where the driver comes back sooner than a kick would wake us; then the time grows,
/// up to a bound. Where it comes back later, watching was for nothing, and the time shrinks to none.
struct Patience {
    private let most: UInt64
    private var current: UInt64
    /// When the work ended, or 0 while there is some.
    private var idleSince: UInt64 = 0

    /// Below this, in nanoseconds, watching is over before it begins.
    private static let least: UInt64 = 1000

    init(microseconds: UInt32) {
        most = UInt64(microseconds) * 1000
        current = most
    }

    /// Whether there is no use for a clock: nothing is ever watched.
    var isNone: Bool { current == 0 }

    /// There was work.
    @inline(__always)
    mutating func worked() { idleSince = 0 }

    /// There was none. Whether it is time to ask for a kick, `now` in nanoseconds.
    mutating func isOver(_ now: UInt64) -> Bool {
        if idleSince == 0 { idleSince = now }
        return now &- idleSince >= current
    }

    /// A kick came for a queue that was not watched any more.
    mutating func kicked(_ now: UInt64) {
        let gap = now &- idleSince
        guard idleSince != 0, most > 0 else { return }
        if gap < most {
            current = min(most, max(current, gap) * 2)
        } else {
            current = current / 2 < Self.least ? 0 : current / 2
        }
        idleSince = 0
    }
}
