import Host
import VirtioSpec

/// A place in a packed ring: a slot, and the wrap counter that goes with this lap.
public struct PackedPosition: Equatable, Sendable {
    public let slot: UInt16
    public let wrap: Bool

    public init(slot: UInt16, wrap: Bool) {
        self.slot = slot
        self.wrap = wrap
    }

    /// - Parameter count: at most `size`.
    func advanced(by count: UInt16, in size: UInt16) -> PackedPosition {
        // Sizes go up to 32768, so the sum stays below 65536.
        let sum = slot + count
        return sum < size
            ? PackedPosition(slot: sum, wrap: wrap) : PackedPosition(slot: sum - size, wrap: !wrap)
    }

    /// AVAIL and USED as they are in a descriptor that is made available here.
    var availableFlags: UInt16 { wrap ? PackedRingLayout.available : PackedRingLayout.used }

    /// The same in one that has been used here.
    var usedFlags: UInt16 { wrap ? PackedRingLayout.available | PackedRingLayout.used : 0 }

    /// As an event suppression structure names it.
    var offWrap: UInt16 { slot | (wrap ? PackedRingLayout.eventWrap : 0) }
}

/// The driver's side of a packed virtqueue (virtio 1.3 §2.8). `available` is the driver's event
/// suppression structure, and `used` the device's.
public final class PackedDriverQueue: DriverQueue {
    private let ids: FreeNumbers
    private let offers: Table<Offer>
    private let tables: IndirectTables
    private var freeEntries: Int
    private var next: PackedPosition
    private var nextUsed: PackedPosition
    /// Up to where the device may look.
    private var published: PackedPosition
    /// Descriptors since then, and descriptors shown that no kick was considered for.
    private var unpublished = 0
    private var unconsidered = 0
    /// The flags and what stands with them of the first descriptor that is not shown, and its slot.
    /// The device stops there, so that all that follows can be written at leisure.
    private var curtain: (slot: UInt16, word: UInt64) = (0, 0)
    /// In order: the oldest chain that is out, and the batch that is being taken back.
    private var oldest: UInt16 = 0
    private var batch = Batch()

    /// - Parameters:
    ///   - size: 1 to 32768, no power of two needed.
    ///   - start: where both sides begin, as a `PackedRingBase` with nothing in flight.
    public init(
        _ ram: GuestRAM, size: UInt16, _ options: Options = Options(),
        start: UInt32 = PackedRingBase.fresh.rawValue
    ) throws(FrontendError) {
        let base = PackedRingBase(rawValue: start)
        let position = PackedPosition(slot: base.availableIndex, wrap: base.availableWrap)
        precondition(size > 0 && UInt32(size) <= largestQueueSize && position.slot < size)
        precondition(base == PackedRingBase(at: position.slot, wrap: position.wrap))
        ids = FreeNumbers(size: size, inOrder: options.inOrder)
        offers = Table(count: Int(size)) { _ in Offer() }
        tables = IndirectTables(ram, size: size, isWanted: options.indirect)
        freeEntries = Int(size)
        next = position
        nextUsed = position
        published = position
        try super.init(
            ram, size: size, options, start: start,
            bytes: (
                PackedRingLayout.descriptorRingBytes(size: size), PackedRingLayout.eventBytes,
                PackedRingLayout.eventBytes
            ))
        // Each slot as the lap before left it.
        for slot in 0..<size {
            let wrap = slot < position.slot ? position.wrap : !position.wrap
            setFlags(slot, PackedPosition(slot: slot, wrap: wrap).usedFlags)
        }
    }

    /// Where the next descriptor goes.
    public var availablePosition: PackedPosition { next }
    /// Where the next used descriptor will be.
    public var usedPosition: PackedPosition { nextUsed }

    /// Returns the chain's buffer id.
    public override func offer(_ buffers: Span<DriverBuffer>, token: UInt64) -> UInt16? {
        if buffers.count == 1 { return offer(buffers[0], token: token) }
        let isTable = options.indirect
        let entries = isTable ? 1 : buffers.count
        guard entries > 0, freeEntries >= entries, ids.count > 0 else { return nil }
        let id = ids.take()
        var writable: UInt64 = 0
        for place in buffers.indices {
            let buffer = buffers[place]
            if buffer.isWritable { writable += UInt64(buffer.length) }
            guard !isTable else { continue }
            // Only the last descriptor's id counts (§2.8.6).
            let isLast = place + 1 == entries
            append(buffer, isLast ? 0 : DescriptorFlags.next, id: isLast ? id : 0)
        }
        if isTable {
            let table = tables.write(buffers, for: id, isPacked: true, ram)
            let bytes = buffers.count * PackedRingLayout.descriptorBytes
            append(.readable(table, bytes), DescriptorFlags.indirect, id: id)
        }
        offers.set(
            Int(id),
            Offer(token: token, writableBytes: writable, entries: UInt16(entries), isOut: true))
        freeEntries -= entries
        chainsOut += 1
        return id
    }

    /// A chain of one buffer, which is what a packet mostly is.
    @inline(__always)
    private func offer(_ buffer: DriverBuffer, token: UInt64) -> UInt16? {
        guard freeEntries > 0, ids.count > 0 else { return nil }
        let id = ids.take()
        append(buffer, 0, id: id)
        offers.set(
            Int(id),
            Offer(
                token: token, writableBytes: buffer.isWritable ? UInt64(buffer.length) : 0,
                entries: 1, isOut: true))
        freeEntries -= 1
        chainsOut += 1
        return id
    }

    /// - Parameter flags: NEXT or INDIRECT.
    @inline(__always)
    private func append(_ buffer: DriverBuffer, _ flags: UInt16, id: UInt16) {
        let slot = next.slot
        let packed = buffer.packedWord(flags | next.availableFlags, id: id)
        let offset = offset(slot)
        descriptorPart.memory.store64(buffer.address, at: offset)
        if unpublished == 0 {
            curtain = (slot, packed)
        } else {
            descriptorPart.memory.store64(packed, at: offset + PackedRingLayout.lengthOffset)
        }
        unpublished += 1
        next = next.advanced(by: 1, in: size)
    }

    public override func publish() {
        guard unpublished > 0 else { return }
        // Release: the rest of this chain and of those behind it is there before its first flags.
        descriptorPart.memory.store64(
            curtain.word, at: offset(curtain.slot) + PackedRingLayout.lengthOffset,
            releasing: true)
        published = next
        unconsidered += unpublished
        unpublished = 0
    }

    @discardableResult
    public override func kickIfWanted() -> Bool {
        Mapping.fullFence()
        let count = unconsidered
        unconsidered = 0
        let event = deviceEvent()
        let isWanted: Bool
        switch event.flags {
        case PackedRingLayout.eventDisable: isWanted = false
        case PackedRingLayout.eventDescriptor where options.eventIndex:
            isWanted = covers(event.offWrap, last: count)
        // Anything else can only mean that kicks are welcome.
        default: isWanted = true
        }
        if isWanted { kick.signal() }
        return isWanted
    }

    /// Whether the descriptor at `offWrap` is one of the last `count` that were published.
    private func covers(_ offWrap: UInt16, last count: Int) -> Bool {
        let slot = Int(offWrap & ~PackedRingLayout.eventWrap)
        let wrap = offWrap & PackedRingLayout.eventWrap != 0
        // A slot that there is not: better a kick too many than a device that sleeps.
        guard slot < size else { return true }
        let laps = 2 * Int(size)
        let event = slot + (wrap ? 0 : Int(size))
        let end = Int(published.slot) + (published.wrap ? 0 : Int(size))
        return (end - event - 1 + laps) % laps < count
    }

    public override func reap() throws(FrontendError) -> (token: UInt64, written: UInt32)? {
        if !batch.isOpen {
            guard isUsed(nextUsed) else { return nil }
            batch = try usedDescriptor()
        }
        let id = options.inOrder ? oldest : batch.last
        let offer = offers[Int(id)]
        var written = batch.written
        if id == batch.last {
            batch.isOpen = false
        } else {
            // One of those that the device passed over: wholly written (§2.8.9).
            written = UInt32(clamping: offer.writableBytes)
        }
        guard UInt64(written) <= offer.writableBytes else {
            throw .device("\(written) bytes written into \(offer.writableBytes)")
        }
        offers.set(Int(id), Offer())
        ids.giveBack(first: id, last: id, count: 1)
        if options.inOrder { oldest = id + 1 == size ? 0 : id + 1 }
        freeEntries += Int(offer.entries)
        nextUsed = nextUsed.advanced(by: offer.entries, in: size)
        chainsOut -= 1
        return (offer.token, written)
    }

    /// What the used descriptor at `nextUsed` says, with an id that is out.
    @inline(__always)
    private func usedDescriptor() throws(FrontendError) -> Batch {
        let offset = offset(nextUsed.slot)
        let memory = descriptorPart.memory
        // After the flags, which were loaded with an acquire.
        let word = memory.load64(at: offset + PackedRingLayout.lengthOffset)
        let id = UInt16(truncatingIfNeeded: word >> 32)
        let flags = UInt16(truncatingIfNeeded: word >> 48)
        guard id < size, offers[Int(id)].isOut else { throw .device("used id \(id) is not out") }
        // The length means nothing where nothing was written (§2.8.7).
        let written =
            flags & DescriptorFlags.write == 0 ? 0 : UInt32(truncatingIfNeeded: word)
        return Batch(last: id, written: written, isOpen: true)
    }

    public override func armCall() -> Bool {
        if options.eventIndex {
            setDriverEvent(nextUsed.offWrap, flags: PackedRingLayout.eventDescriptor)
        } else {
            setDriverEvent(0, flags: PackedRingLayout.eventEnable)
        }
        Mapping.fullFence()
        return batch.isOpen || isUsed(nextUsed)
    }

    public override func suppressCalls() {
        setDriverEvent(0, flags: PackedRingLayout.eventDisable)
    }

    /// A packed ring shows nobody how far the device is, so it is what was known before. Only a
    /// back-end that tracks what is in flight can go on from there.
    public override var baseAfterLoss: UInt32 { lastBase }
}
