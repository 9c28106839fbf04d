import GuestMemory
import Host
import VirtioSpec

/// The device's side of a split virtqueue (virtio 1.3 §2.7): a pure ring engine, without
/// notifications, threads or knowledge of any device.
///
/// `next` takes chains, `complete` gives them back, `publish` shows the driver a breath's worth of
/// them at once and says whether it wants a call.
public struct SplitQueue: ~Copyable {
    public let size: QueueSize
    private var ring: SplitRingMemory
    private let eventIndex: Bool

    /// Free-running: the chain that `next` takes, and how far the driver was last seen.
    private var nextIndex: UInt16
    private var seenIndex: UInt16
    /// Free-running: completed so far, and shown to the driver so far.
    private var usedIndex: UInt16
    private var publishedIndex: UInt16

    private var isInFlight: Table<Bool>
    /// Chains taken and not yet given back.
    public private(set) var inFlight = 0
    /// Set once, by the first violation.
    public private(set) var violation: QueueViolation?
    private var table: PrivateTable

    /// - Parameters:
    ///   - base: the free-running index of the first chain to take, from SET_VRING_BASE. The used
    ///     index goes on from where memory has it, which is another where chains were in flight.
    ///   - features: of these, EVENT_IDX changes how the two sides notify each other. Indirect
    ///     tables are taken from any driver, because some use them unasked.
    public init(
        _ ring: consuming SplitRingMemory, base: UInt16, features: Features
    ) {
        size = ring.size
        eventIndex = features.contains(.eventIndex)
        nextIndex = base
        seenIndex = base
        usedIndex = ring.usedIndex()
        publishedIndex = usedIndex
        isInFlight = Table(count: Int(ring.size.count)) { _ in false }
        table = PrivateTable(capacity: QueueLimits.indirectTable)
        self.ring = ring
    }

    /// What GET_VRING_BASE answers: the index of the chain that would come next.
    public var base: UInt16 { nextIndex }

    /// Goes on with the same ring in another snapshot of memory.
    public mutating func move(to ring: consuming SplitRingMemory) {
        precondition(ring.size == size)
        self.ring = ring
    }

    /// Takes the next chain and fills `buffers` with what it holds, or returns nil where the driver
    /// has made none available. Throws once where the driver broke the ring, and returns nil for
    /// ever after. O(descriptors of the chain).
    public mutating func next(
        _ memory: inout GuestMemory, _ buffers: inout ChainBuffers
    ) throws(QueueViolation) -> Chain? {
        if seenIndex == nextIndex {
            guard try look() else { return nil }
        }
        guard violation == nil else { return nil }
        let head = ring.availableHead(nextIndex)
        do throws(QueueViolation) {
            try take(head, &memory, &buffers)
        } catch {
            violation = error
            throw error
        }
        nextIndex &+= 1
        isInFlight[Int(head)] = true
        inFlight += 1
        return Chain(head: head)
    }

    /// Whether the driver has made more available; reads the shared index.
    private mutating func look() throws(QueueViolation) -> Bool {
        guard violation == nil else { return false }
        let index = ring.availableIndex()
        let ahead = index &- nextIndex
        guard ahead <= size.count else {
            violation = .indexJump(ahead)
            throw .indexJump(ahead)
        }
        seenIndex = index
        return ahead != 0
    }

    private func admit(_ head: UInt16) throws(QueueViolation) {
        guard head < size.count else { throw .headOutOfRange(head) }
        guard !isInFlight[Int(head)] else { throw .headInFlight(head) }
    }

    private mutating func take(
        _ head: UInt16, _ memory: inout GuestMemory, _ buffers: inout ChainBuffers
    ) throws(QueueViolation) {
        try admit(head)
        buffers.removeAll()
        var index = head
        for _ in 0..<size.count {  // A longer chain must contain a circle.
            guard let descriptor = ring.descriptor(index) else {
                throw .nextOutOfRange(head: head, next: index)
            }
            if descriptor.isIndirect {
                return try takeTable(descriptor, head, &memory, &buffers)
            }
            try add(descriptor, head, &memory, &buffers)
            guard descriptor.hasNext else { return }
            index = descriptor.next
        }
        throw .chainTooLong(head: head)
    }

    private mutating func takeTable(
        _ descriptor: Descriptor, _ head: UInt16, _ memory: inout GuestMemory,
        _ buffers: inout ChainBuffers
    ) throws(QueueViolation) {
        guard !descriptor.hasNext else { throw .indirectWithNext(head: head) }
        let (count, rest) = Int(descriptor.length)
            .quotientAndRemainder(dividingBy: SplitRingLayout.descriptorBytes)
        guard rest == 0, count > 0, count <= table.capacity else {
            throw .indirectLength(head: head, bytes: descriptor.length)
        }
        guard memory.read(descriptor.address, count: count, into: &table) else {
            throw .unmapped(head: head, address: descriptor.address, bytes: descriptor.length)
        }
        var index = 0
        for _ in 0..<count {  // As above: no more steps than entries.
            let entry = table[index]
            guard !entry.isIndirect else { throw .nestedIndirect(head: head) }
            try add(entry, head, &memory, &buffers)
            guard entry.hasNext else { return }
            index = Int(entry.next)
            guard index < count else { throw .nextOutOfRange(head: head, next: entry.next) }
        }
        throw .chainTooLong(head: head)
    }

    @inline(__always)
    private func add(
        _ descriptor: Descriptor, _ head: UInt16, _ memory: inout GuestMemory,
        _ buffers: inout ChainBuffers
    ) throws(QueueViolation) {
        let lookup: GuestMemory.Lookup
        let total: Int
        if descriptor.isWritable {
            lookup = memory.append(descriptor.address, descriptor.length, to: &buffers.writable)
            total = buffers.writable.byteCount
        } else {
            guard buffers.writable.count == 0 else { throw .readableAfterWritable(head: head) }
            lookup = memory.append(descriptor.address, descriptor.length, to: &buffers.readable)
            total = buffers.readable.byteCount
        }
        switch lookup {
        case .found: break
        case .unmapped:
            throw .unmapped(
                head: head, address: descriptor.address, bytes: descriptor.length)
        case .full: throw .tooManyBuffers(head: head)
        }
        guard total <= Int(UInt32.max) else { throw .tooManyBytes(head: head) }
    }

    /// Gives a chain back: `written` bytes of its writable buffers were filled. The driver sees it
    /// after `publish`.
    public mutating func complete(_ chain: consuming Chain, written: UInt32) {
        let head = chain.end()
        isInFlight[Int(head)] = false
        inFlight -= 1
        ring.setUsed(usedIndex, head: head, written: written)
        usedIndex &+= 1
    }

    /// Shows the driver everything completed since the last time. Returns whether it wants a call.
    public mutating func publish() -> Bool {
        guard usedIndex != publishedIndex else { return false }
        let old = publishedIndex
        ring.publishUsed(usedIndex)
        publishedIndex = usedIndex
        // The driver writes its wish, then looks at our index; we write the index, then look at its
        // wish. With a full fence on both sides at least one sees the other. (virtio 1.3 §2.7.7.2)
        ring.fullFence()
        guard eventIndex else { return !ring.interruptsSuppressed() }
        return usedIndex &- ring.usedEvent() &- 1 < usedIndex &- old
    }

    /// Asks the driver for no kicks while we look by ourselves.
    public mutating func suppressKicks() {
        // With event indices an event in the past does that, and it lies there already.
        if !eventIndex { ring.setKicksSuppressed(true) }
    }

    /// Asks the driver for a kick at its next chain. Returns true where one came before the driver
    /// could see that: then there is no kick to wait for.
    public mutating func requestKicks() -> Bool {
        guard violation == nil else { return false }
        if eventIndex {
            ring.setAvailableEvent(nextIndex)
        } else {
            ring.setKicksSuppressed(false)
        }
        // As in `publish`, with the parts exchanged.
        ring.fullFence()
        return ring.availableIndex() != nextIndex
    }

    /// Whether something waits in the ring; a cheap look, for polling.
    public func hasAvailable() -> Bool {
        violation == nil && (seenIndex != nextIndex || ring.availableIndex() != nextIndex)
    }

    /// See `SplitRingMemory.isUntouched`.
    public func isUntouched() -> Bool { ring.isUntouched() }
}
