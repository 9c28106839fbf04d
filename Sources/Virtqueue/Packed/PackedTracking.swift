import GuestMemory
import Host

/// Where a packed queue records what it has in flight, and what was found there when it began.
public struct PackedInflight: Sendable {
    let memory: PackedInflightMemory
    /// Nil where nobody has used the region yet.
    let record: PackedInflightRecord?

    /// - Parameters:
    ///   - size: the ring's.
    ///   - isNew: the ring has begun anew; what the region says is of another.
    public init(
        _ memory: PackedInflightMemory, size: UInt16, isNew: Bool = false
    ) throws(InflightFault) {
        self.memory = memory
        record = isNew ? nil : try memory.read(size: size)
    }
}

/// A packed queue's own book of what is in its inflight region. The region is written from it, and
/// never looked at again.
@usableFromInline
struct PackedTracking: ~Copyable {
    /// A chain that was in flight when the device began.
    struct Left {
        let head: UInt16
        let counter: UInt64
        let descriptors: [PackedDescriptor]

        /// The last descriptor has it.
        var id: UInt16 { descriptors.last?.id ?? .max }
    }

    let memory: PackedInflightMemory
    /// The entry after each one, in the free list or in a chain; and the last of the chain that
    /// begins at one.
    private var nexts: Table<UInt16>
    private var lasts: Table<UInt16>
    private var freeHead: UInt16 = 0
    /// The first entry of the chain in flight under each id.
    private var heads: Table<UInt16>
    /// First entries of chains given back and not shown to the driver yet.
    private var batch: Table<UInt16>
    private var batchCount = 0
    /// What the next chain is numbered, and what the first new one was.
    private var counter: UInt64 = 0
    private var firstCounter: UInt64 = 0
    /// Chains to be taken again, in their order, and how many were.
    private(set) var left: [Left] = []
    private var resumed = 0

    init(_ memory: PackedInflightMemory, size: UInt16) {
        self.memory = memory
        nexts = Table(count: Int(memory.count)) { UInt16($0 + 1) }
        lasts = Table(count: Int(memory.count)) { _ in 0 }
        heads = Table(count: Int(size)) { _ in 0 }
        batch = Table(count: Int(size)) { _ in 0 }
    }

    /// Settles the region. Returns where the next used descriptor goes.
    /// - Parameter isShown: whether the driver has been shown the batch from the record's old used
    ///   position on.
    mutating func recover(
        _ record: PackedInflightRecord, isShown: Bool
    ) throws(InflightFault) -> RingPosition {
        var isListed = [Bool](repeating: false, count: record.entries.count)
        /// The entry `index`, which must be in no list yet.
        func list(_ index: UInt16) throws(InflightFault) -> PackedInflightRecord.Entry {
            guard Int(index) < isListed.count, !isListed[Int(index)] else { throw .list }
            isListed[Int(index)] = true
            return record.entries[Int(index)]
        }
        freeHead = isShown ? record.freeHead : record.oldFreeHead
        var stale: [UInt16] = []
        var index = freeHead
        while index < memory.count {
            let entry = try list(index)
            if entry.isInFlight { stale.append(index) }
            index = entry.next
        }
        for head in 0..<memory.count where record.entries[Int(head)].isInFlight {
            guard !isListed[Int(head)] else { continue }
            let first = record.entries[Int(head)]
            var descriptors: [PackedDescriptor] = []
            var index = head
            for _ in 0..<max(1, first.count) {
                let entry = try list(index)
                descriptors.append(entry.descriptor)
                lasts[Int(head)] = index
                index = entry.next
            }
            guard lasts[Int(head)] == first.last else { throw .list }
            left.append(Left(head: head, counter: first.counter, descriptors: descriptors))
        }
        guard isListed.allSatisfy({ $0 }) else { throw .count }
        left.sort { $0.counter < $1.counter }
        counter = (left.last?.counter ?? 0) &+ 1
        firstCounter = counter
        for index in record.entries.indices { nexts[index] = record.entries[index].next }
        let used = isShown ? record.used : record.oldUsed
        for head in stale { memory.setDone(head) }
        memory.settleFreeHead(freeHead)
        memory.setUsed(used, old: used)
        return used
    }

    /// The next chain to be taken again, and whether it is the last one.
    mutating func resume() -> (chain: Left, isLast: Bool) {
        let chain = left[resumed]
        resumed += 1
        return (chain, resumed == left.count)
    }

    /// A chain that was taken again is in flight under its id.
    mutating func adopt(_ chain: Left) { heads[Int(chain.id)] = chain.head }

    /// Undoes what gave the chain last. True where it was taken again, and not a new one.
    mutating func undo(_ id: UInt16) -> Bool {
        guard counter != firstCounter else {
            resumed -= 1
            return true
        }
        counter &-= 1
        let head = heads[Int(id)]
        memory.setNext(lasts[Int(head)], freeHead)
        nexts[Int(lasts[Int(head)])] = freeHead
        freeHead = head
        memory.settleFreeHead(head)
        memory.setDone(head)
        return false
    }

    /// Records a chain of `count` descriptors from `position` on.
    ///
    /// The ring is read again for that. What the driver changed meanwhile is judged like any chain
    /// when it is taken again.
    mutating func take(
        _ id: UInt16, _ ring: borrowing PackedRingMemory, _ position: RingPosition, _ count: UInt16
    ) {
        let head = freeHead
        var last = head
        var position = position
        for _ in 0..<count {
            last = freeHead
            memory.setDescriptor(last, ring.descriptor(position), id: id)
            freeHead = nexts[Int(last)]
            position.advance(by: 1, size: ring.size)
        }
        heads[Int(id)] = head
        lasts[Int(head)] = last
        memory.setTaken(head, last: last, entries: count, counter: counter)
        memory.settleFreeHead(freeHead)
        counter &+= 1
    }

    mutating func finish(_ id: UInt16) {
        batch[batchCount] = heads[Int(id)]
        batchCount += 1
    }

    /// The batch is about to be shown to the driver.
    mutating func link(_ used: RingPosition, old: RingPosition) {
        for place in 0..<batchCount {
            let head = batch[place]
            memory.setNext(lasts[Int(head)], freeHead)
            nexts[Int(lasts[Int(head)])] = freeHead
            freeHead = head
        }
        memory.setFreeHead(freeHead)
        memory.setUsed(used, old: old)
    }

    /// The batch has been shown.
    mutating func settle(_ used: RingPosition) {
        for place in 0..<batchCount { memory.setDone(batch[place]) }
        batchCount = 0
        memory.settleFreeHead(freeHead)
        memory.setUsed(used, old: used)
    }
}

/// The path of a chain that is noted. Out of line, so that those which are not do not pay for it in
/// registers.
extension PackedQueue {
    /// Takes over the chains that an earlier device left in flight.
    mutating func recover(_ inflight: PackedInflight) {
        // Not in init by a comparison with nil, which the compiler, optimising, gets wrong.
        isNoted = true
        isTracked = true
        var tracking = PackedTracking(inflight.memory, size: size)
        guard let record = inflight.record else {
            inflight.memory.clear(used: used)
            self.tracking = consume tracking
            return
        }
        // The last batch was shown if its first descriptor is not available any more: its flags were
        // written last.
        let isShown =
            record.used != record.oldUsed
            && !record.oldUsed.isAvailable(ring.flags(record.oldUsed))
        do throws(InflightFault) {
            used = try tracking.recover(record, isShown: isShown)
            let count = tracking.left.reduce(0) { $0 + $1.descriptors.count }
            guard count <= Int(size) else { throw .count }
            published = used
            available = used
            held = count
            hideUnshown(count)
            resumable = tracking.left.count
            isResuming = resumable > 0
            takesNew = !isResuming
            self.tracking = consume tracking
        } catch { latch(.inflight(error)) }
    }

    /// Moves the available position behind the `count` descriptors in flight. Where the device
    /// before had marked some as used and not shown them, the driver would take those marks for the
    /// next batch's: they are unmade.
    private mutating func hideUnshown(_ count: Int) {
        for _ in 0..<count {
            if !available.isAvailable(ring.flags(available)) {
                ring.setFlags(available, available.availableFlags, releasing: true)
            }
            available.advance(by: 1, size: size)
        }
    }

    @usableFromInline
    @inline(never)
    mutating func resume(
        _ memory: inout GuestMemory, _ buffers: inout ChainBuffers
    ) throws(QueueViolation) -> Chain? {
        guard let (chain, isLast) = tracking?.resume() else { return nil }
        let id = chain.id
        buffers.removeAll()
        do throws(QueueViolation) {
            for descriptor in chain.descriptors {
                try takeAgain(descriptor, id, &memory, &buffers)
            }
            guard Int(id) < lengths.count else { throw .headOutOfRange(id) }
            guard lengths[Int(id)] == 0 else { throw .headInFlight(id) }
            guard buffers.areCountable() else { throw .tooManyBytes(head: id) }
        } catch {
            latch(error)
            throw error
        }
        tracking?.adopt(chain)
        isResuming = !isLast
        takesNew = isLast
        lengths[Int(id)] = UInt16(truncatingIfNeeded: chain.descriptors.count)
        chains &+= 1
        if isInOrder { order.take(id) }
        return Chain(head: id)
    }

    private mutating func takeAgain(
        _ descriptor: PackedDescriptor, _ id: UInt16, _ memory: inout GuestMemory,
        _ buffers: inout ChainBuffers
    ) throws(QueueViolation) {
        if descriptor.isIndirect {
            guard !descriptor.hasNext else { throw .indirectWithNext(head: id) }
            return try takeTable(descriptor, &memory, &buffers)
        }
        try buffers.add(
            descriptor.address, descriptor.length, isWritable: descriptor.isWritable, head: id,
            &memory)
    }

    /// Whether a chain that is put back was one to be taken again: it still is.
    @usableFromInline
    @inline(never)
    mutating func unresume(_ id: UInt16) -> Bool {
        guard tracking?.undo(id) ?? false else { return false }
        isResuming = true
        takesNew = false
        return true
    }

    /// A chain of `count` descriptors has been taken, the ones before the available position.
    @usableFromInline
    @inline(never)
    mutating func note(_ id: UInt16, _ count: UInt16) {
        if isInOrder { order.take(id) }
        guard isTracked else { return }
        var position = available
        position.retreat(by: count, size: size)
        tracking?.take(id, ring, position, count)
    }

    @usableFromInline
    @inline(never)
    mutating func completeNoted(_ id: UInt16, _ written: UInt32) {
        guard isInOrder else { return giveBackNoted(id, written) }
        order.finish(id, written: written)
        while let (next, bytes) = order.next() { giveBackNoted(next, bytes) }
    }

    @inline(__always)
    private mutating func giveBackNoted(_ id: UInt16, _ written: UInt32) {
        giveBack(id, written)
        tracking?.finish(id)
    }

    @usableFromInline
    @inline(never)
    mutating func publishTracked() {
        tracking?.link(used, old: published)
        ring.setFlags(published, heldFlags, releasing: true)
        tracking?.settle(used)
    }

    public mutating func leave(_ chain: consuming Chain) {
        _ = chain.end()
        chains &-= 1
    }
}
