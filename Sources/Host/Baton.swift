import Synchronization

/// A value that goes from hand to hand: who takes it has it alone until it is put back, and nobody
/// waits for it.
@safe
public final class Baton<Value: ~Copyable>: @unchecked Sendable {
    // On the heap, so that no access is checked at run time: `isHere` says whose it is.
    private let place: UnsafeMutablePointer<Value?>
    private let isHere = Atomic<Bool>(true)

    public init(_ initial: consuming sending Value) {
        unsafe place = .allocate(capacity: 1)
        unsafe place.initialize(to: .some(initial))
    }

    deinit {
        unsafe place.deinitialize(count: 1)
        unsafe place.deallocate()
    }

    /// Nil where another has it.
    public func take() -> sending Value? {
        guard
            isHere.compareExchange(expected: true, desired: false, ordering: .acquiring).exchanged
        else { return nil }
        return unsafe place.pointee.take()
    }

    /// Puts back what was taken.
    public func putBack(_ value: consuming sending Value) {
        unsafe place.pointee = .some(value)
        let wasHere = isHere.exchange(true, ordering: .releasing)
        precondition(!wasHere, "put back twice")
    }
}
