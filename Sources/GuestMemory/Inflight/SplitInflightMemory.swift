import Host
import VirtioSpec

/// A split ring's region of the inflight buffer, every store of it. While a queue runs it is only
/// written to, each word after those before it: whoever finds it after our end knows by how far the
/// stores got what was done.
public struct SplitInflightMemory: Sendable {
    private let memory: Mapping
    private let start: Int
    public let count: UInt16

    init(memory: Mapping, start: Int, count: UInt16) {
        self.memory = memory
        self.start = start
        self.count = count
    }

    @inline(__always)
    private func entry(_ head: UInt16) -> Int {
        precondition(head < count)
        return start + SplitInflightLayout.entries + Int(head) * SplitInflightLayout.entryBytes
    }

    /// The chain is in flight, and was taken after all with a smaller `counter`.
    public func setTaken(_ head: UInt16, counter: UInt64) {
        let entry = entry(head)
        memory.storeInOrder64(counter, at: entry + SplitInflightLayout.counter)
        memory.storeInOrder8(1, at: entry + SplitInflightLayout.inflight)
    }

    /// The chain is not in flight, or not any more.
    public func setDone(_ head: UInt16) {
        memory.storeInOrder8(0, at: entry(head) + SplitInflightLayout.inflight)
    }

    /// Puts the chain before `next` in the list of the batch that is to be shown to the driver.
    public func link(_ head: UInt16, before next: UInt16) {
        memory.storeInOrder16(next, at: entry(head) + SplitInflightLayout.next)
        memory.storeInOrder16(head, at: start + SplitInflightLayout.lastBatchHead)
    }

    /// The batch before this used index is settled.
    public func setUsedIndex(_ index: UInt16) {
        memory.storeInOrder16(index, at: start + SplitInflightLayout.usedIndex)
    }

    /// Makes the region one in which nothing is in flight.
    public func clear(usedIndex: UInt16) {
        memory.storeInOrder16(0, at: start + InflightLayout.version)
        for head in 0..<count { setDone(head) }
        memory.store16(0, at: start + SplitInflightLayout.lastBatchHead)
        setUsedIndex(usedIndex)
        memory.markInflightRegionUsed(at: start, count: count)
    }

    /// What the region says, each word read once; nil where nobody has used it yet.
    public func read() throws(InflightFault) -> SplitInflightRecord? {
        guard try memory.isInflightRegionUsed(at: start, count: count) else { return nil }
        let record = SplitInflightRecord(
            usedIndex: memory.load16(at: start + SplitInflightLayout.usedIndex),
            lastBatchHead: memory.load16(at: start + SplitInflightLayout.lastBatchHead),
            entries: (0..<count).map { head in
                let entry = entry(head)
                return SplitInflightRecord.Entry(
                    isInFlight: memory.load8(at: entry + SplitInflightLayout.inflight) != 0,
                    next: memory.load16(at: entry + SplitInflightLayout.next),
                    counter: memory.load64(at: entry + SplitInflightLayout.counter))
            })
        guard !memory.isLost else { throw .lost }
        return record
    }
}

/// A private copy of what a split ring's region says.
public struct SplitInflightRecord: Sendable {
    public struct Entry: Sendable {
        public var isInFlight: Bool
        public let next: UInt16
        public let counter: UInt64
    }

    public let usedIndex: UInt16
    public let lastBatchHead: UInt16
    public var entries: [Entry]
}
