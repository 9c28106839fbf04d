/// One at a time: a lock for slow, rare stretches of code that several threads may reach.
public final class Turn: Sendable {
    private let lock = Locked<Void>(())

    public init() {}

    /// Runs `body` alone.
    public func take<R: ~Copyable, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
        try lock.withLock { (_: inout Void) throws(E) -> R in try body() }
    }
}
