/// A fixed number of elements in one allocation that lives as long as the table: for what a queue
/// keeps per slot. An index outside traps.
@safe
@frozen
public struct Table<Element: ~Copyable>: ~Copyable {
    @usableFromInline let base: UnsafeMutablePointer<Element>
    public let count: Int

    /// - Parameter make: called once for each index.
    public init(count: Int, _ make: (Int) -> Element) {
        precondition(count >= 0)
        self.count = count
        unsafe base = .allocate(capacity: max(1, count))
        for index in 0..<count { unsafe (base + index).initialize(to: make(index)) }
    }

    deinit {
        unsafe base.deinitialize(count: count)
        unsafe base.deallocate()
    }

    @inlinable
    public subscript(index: Int) -> Element {
        _read {
            precondition(index >= 0 && index < count)
            yield unsafe base[index]
        }
        _modify {
            precondition(index >= 0 && index < count)
            yield unsafe &base[index]
        }
    }
}
