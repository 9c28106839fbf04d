import GuestMemory
import Host
import VirtioSpec

/// The device's side of a split virtqueue (virtio 1.3 §2.7).
@frozen
public struct SplitQueue: ~Copyable, DeviceQueue {
    @usableFromInline var ring: SplitRingMemory
    @usableFromInline let eventIndex: Bool

    /// Free-running: the chain that `next` takes, and how far the driver was last seen.
    @usableFromInline var nextIndex: UInt16
    @usableFromInline var seenIndex: UInt16
    /// Free-running: completed so far, and shown to the driver so far.
    @usableFromInline var usedIndex: UInt16
    @usableFromInline var publishedIndex: UInt16

    @usableFromInline var isInFlight: Table<Bool>
    @usableFromInline var chains = 0
    public internal(set) var violation: QueueViolation?
    @usableFromInline var isBroken = false
    @usableFromInline var table: PrivateTable
    @usableFromInline let isInOrder: Bool
    @usableFromInline var order: CompletionOrder
    /// Chains are noted as they come and go: for their order, or in the inflight region.
    @usableFromInline var isNoted: Bool
    @usableFromInline var isTracked = false
    var tracking: SplitTracking?
    /// Chains that an earlier device left in flight, of which some may have been taken again.
    public internal(set) var resumable = 0
    /// The rest of them come first.
    @usableFromInline var isResuming = false

    /// - Parameters:
    ///   - base: the free-running index of the first chain to take, from SET_VRING_BASE. The used
    ///     index goes on from where memory has it, which is another where chains were in flight.
    ///   - features: of these, EVENT_IDX changes how the two sides notify each other, and IN_ORDER
    ///     when chains go back. Indirect tables are taken from any driver, because some use them
    ///     unasked.
    ///   - inflight: where chains in flight are recorded, and what was found there. That decides
    ///     over `base`: chains in flight are taken again, in their order, before all others.
    public init(
        _ ring: consuming SplitRingMemory, base: UInt16, features: Features,
        inflight: SplitInflight? = nil
    ) {
        eventIndex = features.contains(.eventIndex)
        usedIndex = ring.usedIndex()
        // In order, whatever was taken and not given back is what lies behind the used index.
        nextIndex = features.contains(.inOrder) ? usedIndex : base
        seenIndex = nextIndex
        publishedIndex = usedIndex
        isInFlight = Table(count: Int(ring.size.count)) { _ in false }
        table = PrivateTable(capacity: QueueLimits.indirectTable)
        isInOrder = features.contains(.inOrder)
        order = CompletionOrder(size: isInOrder ? ring.size.count : 1)
        isNoted = isInOrder
        self.ring = ring
        if let inflight { recover(inflight) }
    }

    @inlinable public var size: QueueSize { ring.size }
    @inlinable public var inFlight: Int { chains }
    /// The index of the chain that would come next.
    public var base: UInt16 { nextIndex }
    public var vringBase: UInt32 { UInt32(nextIndex) }

    /// Goes on with the same ring in another snapshot of memory.
    public mutating func move(to ring: consuming SplitRingMemory) {
        precondition(ring.size == size)
        self.ring = ring
    }

    @inlinable
    @inline(__always)
    public mutating func next(
        _ memory: inout GuestMemory, _ buffers: inout ChainBuffers
    ) throws(QueueViolation) -> Chain? {
        if seenIndex == nextIndex {
            if isResuming { return try resume(&memory, &buffers) }
            guard try look() else { return nil }
        }
        let slot = Int(ring.availableHead(nextIndex))
        nextIndex &+= 1
        buffers.removeAll()
        do throws(QueueViolation) {
            try take(slot, &memory, &buffers)
            guard buffers.areCountable() else {
                throw .tooManyBytes(head: UInt16(truncatingIfNeeded: slot))
            }
        } catch {
            latchAtChain(error)
            throw error
        }
        isInFlight[slot] = true
        chains &+= 1
        let head = UInt16(truncatingIfNeeded: slot)
        if isNoted { note(head) }
        return Chain(head: head)
    }

    @usableFromInline
    @inline(never)
    mutating func latch(_ error: QueueViolation) {
        violation = error
        isBroken = true
        isResuming = false
        // Nothing more is seen, so nothing more is taken: `next` need not ask for each chain.
        seenIndex = nextIndex
    }

    /// The same for a chain that was looked at: it counts as not taken.
    @usableFromInline
    @inline(never)
    mutating func latchAtChain(_ error: QueueViolation) {
        nextIndex &-= 1
        latch(error)
    }

    /// Whether the driver has made more available; reads the shared index.
    @inlinable
    @inline(__always)
    mutating func look() throws(QueueViolation) -> Bool {
        let index = ring.availableIndex()
        let ahead = index &- nextIndex
        guard ahead != 0, !isBroken else { return false }
        guard ahead <= size.count else {
            latch(.indexJump(ahead))
            throw .indexJump(ahead)
        }
        seenIndex = index
        return true
    }

    @inlinable
    @inline(__always)
    mutating func take(
        _ slot: Int, _ memory: inout GuestMemory, _ buffers: inout ChainBuffers
    ) throws(QueueViolation) {
        let head = UInt16(truncatingIfNeeded: slot)
        // The table has an entry for each descriptor.
        guard slot < isInFlight.count else { throw .headOutOfRange(head) }
        guard !isInFlight[slot] else { throw .headInFlight(head) }
        var index = head
        var left = size.count
        repeat {
            guard let descriptor = ring.descriptor(index) else {
                throw .nextOutOfRange(head: head, next: index)
            }
            if descriptor.isIndirect {
                return try takeTable(descriptor, head, &memory, &buffers)
            }
            try buffers.add(
                descriptor.address, descriptor.length, isWritable: descriptor.isWritable,
                head: head, &memory)
            guard descriptor.hasNext else { return }
            index = descriptor.next
            left &-= 1
        } while left != 0
        // As many as there are, and another: it must go in a circle.
        throw .chainTooLong(head: head)
    }

    @inlinable
    @inline(__always)
    mutating func takeTable(
        _ descriptor: Descriptor, _ head: UInt16, _ memory: inout GuestMemory,
        _ buffers: inout ChainBuffers
    ) throws(QueueViolation) {
        guard !descriptor.hasNext else { throw .indirectWithNext(head: head) }
        var left = try table.copy(
            descriptor.address, bytes: descriptor.length, head: head, &memory)
        var index: UInt16 = 0
        repeat {  // As above: no more steps than entries.
            guard let entry = table[Int(index)] else {
                throw .nextOutOfRange(head: head, next: index)
            }
            guard !entry.isIndirect else { throw .nestedIndirect(head: head) }
            try buffers.add(
                entry.address, entry.length, isWritable: entry.isWritable, head: head, &memory)
            guard entry.hasNext else { return }
            index = entry.next
            left &-= 1
        } while left != 0
        throw .chainTooLong(head: head)
    }

    @inlinable
    public mutating func putBack(_ chain: consuming Chain) {
        let head = chain.end()
        isInFlight[Int(head)] = false
        chains &-= 1
        if isInOrder { order.untake() }
        if isTracked, unresume(head) { return }
        nextIndex &-= 1
        if isBroken { seenIndex = nextIndex }
    }

    @inlinable
    @inline(__always)
    public mutating func complete(_ chain: consuming Chain, written: UInt32) {
        let head = chain.end()
        guard isNoted else { return giveBack(head, written) }
        completeNoted(head, written)
    }

    @inlinable
    @inline(__always)
    mutating func giveBack(_ head: UInt16, _ written: UInt32) {
        isInFlight[Int(head)] = false
        chains &-= 1
        ring.setUsed(usedIndex, head: head, written: written)
        usedIndex &+= 1
    }

    @inlinable
    @inline(__always)
    public mutating func publish() -> Bool {
        guard usedIndex != publishedIndex else { return false }
        let old = publishedIndex
        if isTracked { publishTracked() } else { ring.publishUsed(usedIndex) }
        publishedIndex = usedIndex
        // The driver writes its wish, then looks at our index; we write the index, then look at its
        // wish. With a full fence on both sides at least one sees the other. (virtio 1.3 §2.7.7.2)
        ring.fullFence()
        guard eventIndex else { return !ring.interruptsSuppressed() }
        return usedIndex &- ring.usedEvent() &- 1 < usedIndex &- old
    }

    @inlinable
    public mutating func suppressKicks() {
        // With event indices an event in the past does that, and it lies there already.
        if !eventIndex { ring.setKicksSuppressed(true) }
    }

    @inlinable
    public mutating func requestKicks() -> Bool {
        guard !isBroken else { return false }
        if eventIndex {
            ring.setAvailableEvent(nextIndex)
        } else {
            ring.setKicksSuppressed(false)
        }
        // As in `publish`, with the parts exchanged.
        ring.fullFence()
        return isResuming || ring.availableIndex() != nextIndex
    }

    @inlinable
    public func hasAvailable() -> Bool {
        !isBroken
            && (seenIndex != nextIndex || isResuming || ring.availableIndex() != nextIndex)
    }

    public func isUntouched() -> Bool { ring.isUntouched() }
}
