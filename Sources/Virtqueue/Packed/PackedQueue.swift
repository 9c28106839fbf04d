import GuestMemory
import Host
import VirtioSpec

/// The device's side of a packed virtqueue (virtio 1.3 §2.8).
///
/// A chain's token holds its buffer id, which the driver chose; ids are slots here, so one that is
/// not below the ring's size breaks the ring, as one does that is in flight already.
@frozen
public struct PackedQueue: ~Copyable, DeviceQueue {
    @usableFromInline var ring: PackedRingMemory
    @usableFromInline let eventIndex: Bool

    /// Where `next` takes from, and where `complete` writes to.
    @usableFromInline var available: RingPosition
    @usableFromInline var used: RingPosition
    /// Where the driver was last shown to; the flags of the descriptor there are held back until
    /// `publish`, and with them all that comes after.
    @usableFromInline var published: RingPosition
    @usableFromInline var heldFlags: UInt16 = 0

    /// Descriptors of the chain in flight under each id, 0 for none.
    @usableFromInline var lengths: Table<UInt16>
    /// Descriptors that the driver may not use: of chains in flight, and of those that it has not
    /// been shown yet.
    @usableFromInline var held = 0
    @usableFromInline var heldUnpublished = 0
    @usableFromInline var chains = 0
    public internal(set) var violation: QueueViolation?
    @usableFromInline var isBroken = false
    @usableFromInline var table: PrivateTable
    @usableFromInline let isInOrder: Bool
    @usableFromInline var order: CompletionOrder
    /// Chains are noted as they come and go: for their order, or in the inflight region.
    @usableFromInline var isNoted: Bool
    @usableFromInline var isTracked = false
    var tracking: PackedTracking?
    /// Chains that an earlier device left in flight, of which some may have been taken again.
    public internal(set) var resumable = 0
    /// The rest of them come first.
    @usableFromInline var isResuming = false
    /// Neither that, nor is the ring broken.
    @usableFromInline var takesNew = true

    /// - Parameters:
    ///   - base: where to go on, from SET_VRING_BASE.
    ///   - features: of these, EVENT_IDX changes how the two sides notify each other, and IN_ORDER
    ///     when chains go back. Indirect tables are taken from any driver.
    ///   - inflight: where chains in flight are recorded, and what was found there. That decides
    ///     over `base`, which after a crash is one of long ago. Chains in flight are taken again,
    ///     in their order, before all others.
    public init(
        _ ring: consuming PackedRingMemory, base: PackedBase, features: Features,
        inflight: PackedInflight? = nil
    ) {
        eventIndex = features.contains(.eventIndex)
        isInOrder = features.contains(.inOrder)
        // In order, whatever was taken and not given back is what lies behind the used position.
        available = features.contains(.inOrder) ? base.used : base.available
        used = base.used
        published = base.used
        lengths = Table(count: Int(ring.size)) { _ in 0 }
        table = PrivateTable(capacity: QueueLimits.indirectTable)
        order = CompletionOrder(size: isInOrder ? ring.size : 1)
        isNoted = isInOrder
        self.ring = ring
        if let inflight { recover(inflight) }
    }

    @inlinable public var size: UInt16 { ring.size }
    @inlinable public var inFlight: Int { chains }
    public var base: PackedBase { PackedBase(available: available, used: used) }
    public var vringBase: UInt32 { base.vringBase }

    /// Goes on with the same ring in another snapshot of memory.
    public mutating func move(to ring: consuming PackedRingMemory) {
        precondition(ring.size == size)
        self.ring = ring
    }

    @inlinable
    @inline(__always)
    public mutating func next(
        _ memory: inout GuestMemory, _ buffers: inout ChainBuffers
    ) throws(QueueViolation) -> Chain? {
        // Acquires: the chain that these flags make available may be read afterwards.
        guard available.isAvailable(ring.flags(available)), takesNew else {
            return isResuming ? try resume(&memory, &buffers) : nil
        }
        buffers.removeAll()
        let id: UInt16
        let count: UInt16
        do throws(QueueViolation) {
            (id, count) = try take(&memory, &buffers)
            try admit(id, count, buffers)
        } catch {
            latch(error)
            throw error
        }
        lengths[Int(id)] = count
        held &+= Int(count)
        chains &+= 1
        available.advance(by: count, size: size)
        if isNoted { note(id, count) }
        return Chain(head: id)
    }

    @usableFromInline
    @inline(never)
    mutating func latch(_ error: QueueViolation) {
        violation = error
        isBroken = true
        isResuming = false
        takesNew = false
    }

    @inlinable
    @inline(__always)
    func admit(
        _ id: UInt16, _ count: UInt16, _ buffers: borrowing ChainBuffers
    ) throws(QueueViolation) {
        // What is ours still can't be made available.
        guard Int(count) <= Int(size) &- held else { throw .chainTooLong(head: available.index) }
        // The table has an entry for each descriptor.
        guard Int(id) < lengths.count else { throw .headOutOfRange(id) }
        guard lengths[Int(id)] == 0 else { throw .headInFlight(id) }
        guard buffers.areCountable() else { throw .tooManyBytes(head: id) }
    }

    /// Walks the chain that begins at `available`: its buffer id, which the last descriptor has, and
    /// how many descriptors it takes.
    @inlinable
    @inline(__always)
    mutating func take(
        _ memory: inout GuestMemory, _ buffers: inout ChainBuffers
    ) throws(QueueViolation) -> (UInt16, UInt16) {
        var position = available
        var count: UInt16 = 1
        while true {
            let descriptor = ring.descriptor(position)
            if descriptor.isIndirect {
                guard count == 1, !descriptor.hasNext else {
                    throw .indirectWithNext(head: descriptor.id)
                }
                try takeTable(descriptor, &memory, &buffers)
                return (descriptor.id, 1)
            }
            try buffers.add(
                descriptor.address, descriptor.length, isWritable: descriptor.isWritable,
                head: descriptor.id, &memory)
            guard descriptor.hasNext else { return (descriptor.id, count) }
            // What comes next is ours still, and can't be made available.
            guard Int(count) < Int(size) &- held else {
                throw .chainTooLong(head: available.index)
            }
            count &+= 1
            position.advance(by: 1, size: size)
        }
    }

    /// The table's entries are the chain, in their order; of their flags only "writable" means
    /// anything (§2.8.8).
    @inlinable
    @inline(__always)
    mutating func takeTable(
        _ descriptor: PackedDescriptor, _ memory: inout GuestMemory, _ buffers: inout ChainBuffers
    ) throws(QueueViolation) {
        let head = descriptor.id
        _ = try table.copy(descriptor.address, bytes: descriptor.length, head: head, &memory)
        var index = 0
        while let entry = table[packed: index] {
            guard !entry.isIndirect else { throw .nestedIndirect(head: head) }
            try buffers.add(
                entry.address, entry.length, isWritable: entry.isWritable, head: head, &memory)
            index &+= 1
        }
    }

    @inlinable
    public mutating func putBack(_ chain: consuming Chain) {
        let id = Int(chain.end())
        let count = lengths[id]
        lengths[id] = 0
        chains &-= 1
        if isInOrder { order.untake() }
        if isTracked, unresume(UInt16(id)) { return }
        held &-= Int(count)
        available.retreat(by: count, size: size)
    }

    @inlinable
    @inline(__always)
    public mutating func complete(_ chain: consuming Chain, written: UInt32) {
        let id = chain.end()
        guard isNoted else { return giveBack(id, written) }
        completeNoted(id, written)
    }

    @inlinable
    @inline(__always)
    mutating func giveBack(_ id: UInt16, _ written: UInt32) {
        let count = lengths[Int(id)]
        lengths[Int(id)] = 0
        chains &-= 1
        ring.setUsed(used, id: id, written: written)
        var flags = used.usedFlags
        if written != 0 { flags |= DescriptorFlags.write }
        if heldUnpublished == 0 {
            heldFlags = flags
        } else {
            ring.setFlags(used, flags, releasing: false)
        }
        heldUnpublished &+= Int(count)
        used.advance(by: count, size: size)
    }

    @inlinable
    @inline(__always)
    public mutating func publish() -> Bool {
        guard heldUnpublished != 0 else { return false }
        held &-= heldUnpublished
        heldUnpublished = 0
        let old = published
        if isTracked {
            publishTracked()
        } else {
            ring.setFlags(old, heldFlags, releasing: true)
        }
        published = used
        // The driver writes its wish, then looks at our flags; we write the flags, then look at its
        // wish. With a full fence on both sides at least one sees the other. (virtio 1.3 §2.8.21.3)
        ring.fullFence()
        let (place, flags) = ring.driverEvent()
        switch flags {
        case PackedRingLayout.eventDisable: return false
        case PackedRingLayout.eventDescriptor where eventIndex: break
        default: return true
        }
        // An index past the ring is no place at all.
        guard let wanted = RingPosition(word: place, size: size) else { return true }
        // Whether the descriptor that the driver named is among those used since the last time.
        return old.steps(to: wanted, size: size) < old.steps(to: used, size: size)
    }

    @inlinable
    public mutating func suppressKicks() {
        ring.setDeviceEvent(place: 0, flags: PackedRingLayout.eventDisable)
    }

    @inlinable
    public mutating func requestKicks() -> Bool {
        guard !isBroken else { return false }
        if eventIndex {
            ring.setDeviceEvent(
                place: available.word, flags: PackedRingLayout.eventDescriptor)
        } else {
            ring.setDeviceEvent(place: 0, flags: PackedRingLayout.eventEnable)
        }
        // As in `publish`, with the parts exchanged.
        ring.fullFence()
        return isResuming || available.isAvailable(ring.flags(available))
    }

    @inlinable
    public func hasAvailable() -> Bool {
        !isBroken && (isResuming || available.isAvailable(ring.flags(available)))
    }

    public func isUntouched() -> Bool { ring.isUntouched() }
}
