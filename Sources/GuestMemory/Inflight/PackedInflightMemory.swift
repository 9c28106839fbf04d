import Host
import VirtioSpec

/// A packed ring's region of the inflight buffer, every store of it; see `SplitInflightMemory`. Its
/// entries hold copies of the descriptors in flight, because in the ring they are written over.
public struct PackedInflightMemory: Sendable {
    private let memory: Mapping
    private let start: Int
    public let count: UInt16

    init(memory: Mapping, start: Int, count: UInt16) {
        self.memory = memory
        self.start = start
        self.count = count
    }

    @inline(__always)
    private func entry(_ index: UInt16) -> Int {
        precondition(index < count)
        return start + PackedInflightLayout.entries + Int(index) * PackedInflightLayout.entryBytes
    }

    /// Copies a descriptor into an entry.
    public func setDescriptor(_ index: UInt16, _ descriptor: PackedDescriptor, id: UInt16) {
        let entry = entry(index)
        let word =
            UInt64(id) | UInt64(descriptor.flags) << 16 | UInt64(descriptor.length) << 32
        memory.store64(word, at: entry + PackedInflightLayout.descriptor)
        memory.store64(descriptor.address, at: entry + PackedInflightLayout.address)
    }

    /// The chain in the `entries` entries from `head` to `last` is in flight, once they are out of
    /// the free list.
    public func setTaken(_ head: UInt16, last: UInt16, entries: UInt16, counter: UInt64) {
        let entry = entry(head)
        memory.store16(last, at: entry + PackedInflightLayout.last)
        memory.store16(entries, at: entry + PackedInflightLayout.count)
        memory.store64(counter, at: entry + PackedInflightLayout.counter)
        memory.storeInOrder8(1, at: entry + PackedInflightLayout.inflight)
    }

    /// The chain is not in flight any more.
    public func setDone(_ head: UInt16) {
        memory.storeInOrder8(0, at: entry(head) + PackedInflightLayout.inflight)
    }

    public func setNext(_ index: UInt16, _ next: UInt16) {
        memory.storeInOrder16(next, at: entry(index) + PackedInflightLayout.next)
    }

    /// Where the free list will begin when the batch is settled.
    public func setFreeHead(_ index: UInt16) {
        memory.storeInOrder16(index, at: start + PackedInflightLayout.freeHead)
    }

    /// Where the free list begins. In one store, so that it is never half done.
    public func settleFreeHead(_ index: UInt16) {
        let both = UInt32(index) | UInt32(index) << 16
        memory.storeInOrder32(both, at: start + PackedInflightLayout.freeHead)
    }

    /// Where the next used descriptor goes, and where it would where the batch is not shown. In one
    /// store: an index without its wrap counter would be another place.
    public func setUsed(_ used: RingPosition, old: RingPosition) {
        let indices = UInt64(used.index) | UInt64(old.index) << 16
        let wraps: UInt64 = (used.wrap ? 1 << 32 : 0) | (old.wrap ? 1 << 40 : 0)
        memory.storeInOrder64(indices | wraps, at: start + PackedInflightLayout.used)
    }

    /// Makes the region one in which nothing is in flight.
    public func clear(used: RingPosition) {
        memory.storeInOrder16(0, at: start + InflightLayout.version)
        for index in 0..<count {
            setDone(index)
            setNext(index, index + 1)
        }
        settleFreeHead(0)
        setUsed(used, old: used)
        memory.markInflightRegionUsed(at: start, count: count)
    }

    /// What the region says of a ring of `size` entries, each word read once; nil where nobody has
    /// used it yet.
    public func read(size: UInt16) throws(InflightFault) -> PackedInflightRecord? {
        guard try memory.isInflightRegionUsed(at: start, count: count) else { return nil }
        let word = memory.load64(at: start + PackedInflightLayout.used)
        let used = try position(word >> 0, wrap: word >> 32, size: size)
        let old = try position(word >> 16, wrap: word >> 40, size: size)
        let heads = memory.load32(at: start + PackedInflightLayout.freeHead)
        let record = PackedInflightRecord(
            used: used, oldUsed: old, freeHead: UInt16(truncatingIfNeeded: heads),
            oldFreeHead: UInt16(truncatingIfNeeded: heads >> 16),
            entries: (0..<count).map { read(entry($0)) })
        guard !memory.isLost else { throw .lost }
        return record
    }

    private func position(
        _ index: UInt64, wrap: UInt64, size: UInt16
    ) throws(InflightFault) -> RingPosition {
        let index = UInt16(truncatingIfNeeded: index)
        let mark = wrap & 0xff != 0 ? PackedRingLayout.eventWrap : 0
        guard index < size, let position = RingPosition(word: index | mark, size: size) else {
            throw .position(index)
        }
        return position
    }

    private func read(_ entry: Int) -> PackedInflightRecord.Entry {
        let word = memory.load64(at: entry + PackedInflightLayout.descriptor)
        return PackedInflightRecord.Entry(
            isInFlight: memory.load8(at: entry + PackedInflightLayout.inflight) != 0,
            next: memory.load16(at: entry + PackedInflightLayout.next),
            last: memory.load16(at: entry + PackedInflightLayout.last),
            count: memory.load16(at: entry + PackedInflightLayout.count),
            counter: memory.load64(at: entry + PackedInflightLayout.counter),
            descriptor: PackedDescriptor(
                words: memory.load64(at: entry + PackedInflightLayout.address),
                // Length u32, id u16, flags u16, as the ring has them.
                word >> 32 | word << 32))
    }
}

/// A private copy of what a packed ring's region says.
public struct PackedInflightRecord: Sendable {
    public struct Entry: Sendable {
        public var isInFlight: Bool
        public let next: UInt16
        public let last: UInt16
        public let count: UInt16
        public let counter: UInt64
        public let descriptor: PackedDescriptor
    }

    public let used: RingPosition
    public let oldUsed: RingPosition
    public let freeHead: UInt16
    public let oldFreeHead: UInt16
    public var entries: [Entry]
}
