import GuestMemory
import Host

/// Where a split queue records what it has in flight, and what was found there when it began.
public struct SplitInflight: Sendable {
    let memory: SplitInflightMemory
    /// Nil where nobody has used the region yet.
    let record: SplitInflightRecord?

    /// - Parameter isNew: the ring has begun anew; what the region says is of another.
    public init(_ memory: SplitInflightMemory, isNew: Bool = false) throws(InflightFault) {
        self.memory = memory
        record = isNew ? nil : try memory.read()
    }
}

/// A split queue's own book of what is in its inflight region. The region is written from it, and
/// never looked at again.
@usableFromInline
struct SplitTracking: ~Copyable {
    let memory: SplitInflightMemory
    /// The head of the list of the last batch.
    private var lastBatchHead: UInt16 = 0
    /// Chains given back and not shown to the driver yet.
    private var batch: Table<UInt16>
    private var batchCount = 0
    /// What the next chain is numbered, and what the first new one was.
    private var counter: UInt64 = 0
    private var firstCounter: UInt64 = 0
    /// Chains to be taken again, in their order, and how many were.
    private var left: [UInt16] = []
    private var resumed = 0

    init(_ memory: SplitInflightMemory, size: UInt16) {
        self.memory = memory
        batch = Table(count: Int(size)) { _ in 0 }
    }

    /// Settles the region for a ring of `size` entries whose used index is `usedIndex`. Returns how
    /// many chains are in flight.
    mutating func recover(
        _ record: SplitInflightRecord, size: UInt16, usedIndex: UInt16
    ) throws(InflightFault) -> Int {
        var record = record
        var head = record.lastBatchHead
        let batch = usedIndex &- record.usedIndex
        guard batch <= size else { throw .batch(batch) }
        var settled: [UInt16] = []
        var isSettled = [Bool](repeating: false, count: Int(size))
        for _ in 0..<batch {
            // What the driver was shown is done, whether or not the region says so already.
            guard head < size, !isSettled[Int(head)] else { throw .list }
            isSettled[Int(head)] = true
            settled.append(head)
            record.entries[Int(head)].isInFlight = false
            head = record.entries[Int(head)].next
        }
        let marked = record.entries.indices.filter { record.entries[$0].isInFlight }
        guard marked.allSatisfy({ $0 < size }) else { throw .count }
        left = marked.sorted { record.entries[$0].counter < record.entries[$1].counter }
            .map { UInt16(truncatingIfNeeded: $0) }
        counter = (left.last.map { record.entries[Int($0)].counter } ?? 0) &+ 1
        firstCounter = counter
        lastBatchHead = record.lastBatchHead
        for head in settled { memory.setDone(head) }
        memory.setUsedIndex(usedIndex)
        return left.count
    }

    /// The next chain to be taken again, and whether it is the last one.
    mutating func resume() -> (head: UInt16, isLast: Bool) {
        let head = left[resumed]
        resumed += 1
        return (head, resumed == left.count)
    }

    /// Undoes what gave the chain last. True where it was taken again, and not a new one.
    mutating func undo(_ head: UInt16) -> Bool {
        guard counter != firstCounter else {
            resumed -= 1
            return true
        }
        counter &-= 1
        memory.setDone(head)
        return false
    }

    mutating func take(_ head: UInt16) {
        memory.setTaken(head, counter: counter)
        counter &+= 1
    }

    mutating func finish(_ head: UInt16) {
        batch[batchCount] = head
        batchCount += 1
    }

    /// The batch is about to be shown to the driver.
    mutating func link() {
        for place in 0..<batchCount {
            memory.link(batch[place], before: lastBatchHead)
            lastBatchHead = batch[place]
        }
    }

    /// The batch has been shown: its chains are not in flight any more.
    mutating func settle(_ usedIndex: UInt16, _ isInFlight: inout Table<Bool>) {
        for place in 0..<batchCount {
            memory.setDone(batch[place])
            isInFlight[Int(batch[place])] = false
        }
        batchCount = 0
        memory.setUsedIndex(usedIndex)
    }
}

/// The path of a chain that is noted. Out of line, so that those which are not do not pay for it in
/// registers.
extension SplitQueue {
    /// Takes over the chains that an earlier device left in flight.
    mutating func recover(_ inflight: SplitInflight) {
        // Not in init by a comparison with nil, which the compiler, optimising, gets wrong.
        isNoted = true
        isTracked = true
        var tracking = SplitTracking(inflight.memory, size: size.count)
        guard let record = inflight.record else {
            inflight.memory.clear(usedIndex: usedIndex)
            self.tracking = consume tracking
            return
        }
        do throws(InflightFault) {
            let count = try tracking.recover(record, size: size.count, usedIndex: usedIndex)
            self.tracking = consume tracking
            // Every chain that was taken is either before the used index or in flight.
            nextIndex = usedIndex &+ UInt16(truncatingIfNeeded: count)
            seenIndex = nextIndex
            resumable = count
            isResuming = count > 0
        } catch { latch(.inflight(error)) }
    }

    @usableFromInline
    @inline(never)
    mutating func resume(
        _ memory: inout GuestMemory, _ buffers: inout ChainBuffers
    ) throws(QueueViolation) -> Chain? {
        guard let (head, isLast) = tracking?.resume() else { return nil }
        buffers.removeAll()
        do throws(QueueViolation) {
            try take(Int(head), &memory, &buffers)
            guard buffers.areCountable() else { throw .tooManyBytes(head: head) }
        } catch {
            latch(error)
            throw error
        }
        isResuming = !isLast
        isInFlight[Int(head)] = true
        chains &+= 1
        if isInOrder { order.take(head) }
        return Chain(head: head)
    }

    /// Whether a chain that is put back was one to be taken again: it still is.
    @usableFromInline
    @inline(never)
    mutating func unresume(_ head: UInt16) -> Bool {
        guard tracking?.undo(head) ?? false else { return false }
        isResuming = true
        return true
    }

    @usableFromInline
    @inline(never)
    mutating func note(_ head: UInt16) {
        if isInOrder { order.take(head) }
        tracking?.take(head)
    }

    @usableFromInline
    @inline(never)
    mutating func completeNoted(_ head: UInt16, _ written: UInt32) {
        guard isInOrder else { return giveBackNoted(head, written) }
        order.finish(head, written: written)
        while let (next, bytes) = order.next() { giveBackNoted(next, bytes) }
    }

    @inline(__always)
    private mutating func giveBackNoted(_ head: UInt16, _ written: UInt32) {
        giveBack(head, written)
        guard isTracked else { return }
        // Until it is shown, it can't be made available again: a batch has each head once.
        isInFlight[Int(head)] = true
        tracking?.finish(head)
    }

    @usableFromInline
    @inline(never)
    mutating func publishTracked() {
        tracking?.link()
        ring.publishUsed(usedIndex)
        tracking?.settle(usedIndex, &isInFlight)
    }

    public mutating func leave(_ chain: consuming Chain) {
        _ = chain.end()
        chains &-= 1
    }
}
