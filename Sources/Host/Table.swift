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

    /// - Parameter make: called for each index until it throws; what it made by then is let go.
    public init<Failure: Error>(
        trying count: Int, _ make: (Int) throws(Failure) -> Element
    ) throws(Failure) {
        precondition(count >= 0)
        let base = UnsafeMutablePointer<Element>.allocate(capacity: max(1, count))
        for index in 0..<count {
            do throws(Failure) {
                unsafe (base + index).initialize(to: try make(index))
            } catch {
                unsafe base.deinitialize(count: index)
                unsafe base.deallocate()
                throw error
            }
        }
        self.count = count
        unsafe self.base = base
    }

    deinit {
        unsafe base.deinitialize(count: count)
        unsafe base.deallocate()
    }

    /// Lends two elements at once; their indices must differ.
    @inlinable
    public mutating func with<Result>(
        _ one: Int, _ other: Int, _ body: (inout Element, inout Element) -> Result
    ) -> Result {
        precondition(one != other && one >= 0 && one < count && other >= 0 && other < count)
        return unsafe body(&base[one], &base[other])
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

// Safe: nothing about a table is bound to the thread that made it.
extension Table: @unchecked Sendable where Element: Sendable & ~Copyable {}

extension Table where Element: BitwiseCopyable {
    /// Replaces an element of a table that a class keeps as a constant. A variable would have its
    /// exclusivity checked at run time, at every access.
    @inlinable
    @inline(__always)
    public func set(_ index: Int, _ element: Element) {
        precondition(index >= 0 && index < count)
        unsafe base[index] = element
    }
}
