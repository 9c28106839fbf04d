import CLinux

/// One list of buffers per slot, for I/O that outlives the call which started it. Allocated once.
///
/// A slot holds a few buffers beside its neighbours, where they share cache lines and pages; a longer
/// list goes to a place of its own in memory that costs nothing until it is first used.
@safe
public struct IOVectorTable: ~Copyable {
    /// Buffers one system call takes (IOV_MAX); a longer list goes in several.
    public static let perCall = 1024
    private static let short = 8

    @safe
    private struct Entry {
        var vectors: UnsafeMutablePointer<iovec>
        var count: Int
    }

    private let entries: UnsafeMutablePointer<Entry>
    private let shortLists: UnsafeMutablePointer<iovec>
    private let longLists: Mapping
    public let slots: Int
    private let capacity: Int

    /// - Parameters:
    ///   - slots: lists held at once.
    ///   - capacity: buffers in the longest list.
    public init(slots: Int, capacity: Int) throws(SystemError) {
        self.slots = slots
        self.capacity = capacity
        // An odd number of cache lines apart, so that the lists' starts spread over the cache.
        longLists = try Mapping.anonymous(count: slots * Self.stride(capacity) * 16)
        unsafe shortLists = .allocate(capacity: slots * Self.short)
        unsafe entries = .allocate(capacity: slots)
        for slot in 0..<slots {
            unsafe (entries + slot).initialize(to: Entry(vectors: shortLists, count: 0))
        }
    }

    deinit {
        unsafe shortLists.deallocate()
        unsafe entries.deallocate()
    }

    private static func stride(_ capacity: Int) -> Int { (capacity + 7) / 8 * 8 + 4 }

    /// Copies `list` into `slot`.
    public mutating func store(_ list: borrowing IOVectors, in slot: Int) {
        precondition(slot >= 0 && slot < slots && list.count <= capacity)
        let home: UnsafeMutablePointer<iovec>
        if list.count <= Self.short {
            unsafe home = shortLists + slot * Self.short
        } else {
            let start = slot * Self.stride(capacity) * 16
            unsafe home = (longLists.base + start).assumingMemoryBound(to: iovec.self)
        }
        let count = list.count
        unsafe list.withVectors { vectors, count in unsafe home.update(from: vectors, count: count)
        }
        unsafe entries[slot] = Entry(vectors: home, count: count)
    }

    /// Forgets the first `bytes` bytes of a slot's buffers: they are done.
    public mutating func advance(_ slot: Int, by bytes: Int) {
        precondition(slot >= 0 && slot < slots)
        var left = bytes
        while left > 0, unsafe entries[slot].count > 0 {
            let length = unsafe entries[slot].vectors[0].iov_len
            if length > left {
                unsafe entries[slot].vectors[0].iov_base += left
                unsafe entries[slot].vectors[0].iov_len -= left
                return
            }
            left -= length
            unsafe entries[slot].vectors += 1
            unsafe entries[slot].count -= 1
        }
    }

    /// Whether any buffer of `slot` lies in `mapping`.
    public func touches(_ slot: Int, _ mapping: Mapping) -> Bool {
        precondition(slot >= 0 && slot < slots)
        let low = unsafe UInt(bitPattern: mapping.base)
        for index in 0..<(unsafe entries[slot].count) {
            if unsafe entries[slot].vectors[index].meets(low, mapping.count) { return true }
        }
        return false
    }

    /// What one call may take of a slot's list, and where it is.
    @unsafe
    func vectors(_ slot: Int) -> (UnsafeMutablePointer<iovec>, UInt32) {
        precondition(slot >= 0 && slot < slots)
        return unsafe (entries[slot].vectors, UInt32(min(entries[slot].count, Self.perCall)))
    }
}
