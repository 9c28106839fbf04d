import Host
import VirtioSpec

/// The driver's side of a split virtqueue (virtio 1.3 §2.7).
public final class SplitDriverQueue: DriverQueue {
    private let free: FreeNumbers
    private let offers: Table<Offer>
    private let tables: IndirectTables
    /// Free-running: offered, shown to the device, and asked whether to kick for.
    private var offered: UInt16
    private var published: UInt16
    private var considered: UInt16
    /// Free-running: taken back, and known to be there.
    private var reaped: UInt16
    private var finished: UInt16
    /// In order: the oldest chain that is out, and the batch that is being taken back.
    private var oldest: UInt16 = 0
    private var batch = Batch()

    /// - Parameters:
    ///   - size: a power of two.
    ///   - start: where the free-running indices begin, on both sides: the low 16 bits count.
    public init(
        _ ram: GuestRAM, size: UInt16, _ options: Options = Options(), start: UInt32 = 0
    ) throws(FrontendError) {
        precondition(size > 0 && size & (size - 1) == 0 && UInt32(size) <= largestQueueSize)
        let first = UInt16(truncatingIfNeeded: start)
        free = FreeNumbers(size: size, inOrder: options.inOrder)
        offers = Table(count: Int(size)) { _ in Offer() }
        tables = IndirectTables(ram, size: size, isWanted: options.indirect)
        offered = first
        published = first
        considered = first
        reaped = first
        finished = first
        try super.init(
            ram, size: size, options, start: UInt32(first),
            bytes: (
                SplitRingLayout.descriptorTableBytes(size: size),
                SplitRingLayout.availableBytes(size: size), SplitRingLayout.usedBytes(size: size)
            ))
        setAvailableIndex(first)
        setUsedIndex(first)
        if options.eventIndex { setUsedEvent(first) }
    }

    /// Returns the chain's head.
    public override func offer(_ buffers: Span<DriverBuffer>, token: UInt64) -> UInt16? {
        if buffers.count == 1 { return offer(buffers[0], token: token) }
        let isTable = options.indirect
        let entries = isTable ? 1 : buffers.count
        guard entries > 0, free.count >= entries else { return nil }
        let head = free.take()
        var last = head
        var writable: UInt64 = 0
        for place in buffers.indices {
            let buffer = buffers[place]
            if buffer.isWritable { writable += UInt64(buffer.length) }
            guard !isTable else { continue }
            let next = place + 1 < entries ? free.take() : nil
            store(last, buffer.address, buffer.word(next: next))
            last = next ?? last
        }
        if isTable {
            let table = tables.write(buffers, for: head, isPacked: false, ram)
            let bytes = UInt64(buffers.count * SplitRingLayout.descriptorBytes)
            store(head, table, bytes | UInt64(DescriptorFlags.indirect) << 32)
        }
        offers.set(
            Int(head),
            Offer(
                token: token, writableBytes: writable, entries: UInt16(entries), last: last,
                isOut: true))
        setAvailable(offered, head: head)
        offered &+= 1
        chainsOut += 1
        return head
    }

    /// A chain of one buffer, which is what a packet mostly is.
    @inline(__always)
    private func offer(_ buffer: DriverBuffer, token: UInt64) -> UInt16? {
        guard free.count > 0 else { return nil }
        let head = free.take()
        store(head, buffer.address, buffer.word(next: nil))
        offers.set(
            Int(head),
            Offer(
                token: token, writableBytes: buffer.isWritable ? UInt64(buffer.length) : 0,
                entries: 1, last: head, isOut: true))
        setAvailable(offered, head: head)
        offered &+= 1
        chainsOut += 1
        return head
    }

    @inline(__always)
    private func store(_ index: UInt16, _ address: UInt64, _ word: UInt64) {
        let offset = descriptorPart.start + Int(index) * SplitRingLayout.descriptorBytes
        descriptorPart.memory.store64(address, at: offset)
        descriptorPart.memory.store64(word, at: offset + 8)
    }

    public override func publish() {
        published = offered
        // Release: the descriptors and the ring's entries are there before the index says so.
        setAvailableIndex(published)
    }

    @discardableResult
    public override func kickIfWanted() -> Bool {
        Mapping.fullFence()
        let isWanted: Bool
        if options.eventIndex {
            isWanted = published &- availableEvent() &- 1 < published &- considered
        } else {
            isWanted = usedFlags() & SplitRingLayout.noNotify == 0
        }
        considered = published
        if isWanted { kick.signal() }
        return isWanted
    }

    public override func reap() throws(FrontendError) -> (token: UInt64, written: UInt32)? {
        if finished == reaped {
            finished = usedIndex()
            let ahead = finished &- reaped
            guard Int(ahead) <= chainsOut else {
                throw .device("used index \(finished): \(ahead) chains, and \(chainsOut) are out")
            }
            guard ahead != 0 else {
                guard !batch.isOpen else { throw .device("a batch longer than the used index") }
                return nil
            }
        }
        let (head, written) = try options.inOrder ? nextInOrder() : nextUsed()
        let offer = offers[Int(head)]
        guard UInt64(written) <= offer.writableBytes else {
            throw .device("\(written) bytes written into \(offer.writableBytes)")
        }
        offers.set(Int(head), Offer())
        free.giveBack(first: head, last: offer.last, count: Int(offer.entries))
        reaped &+= 1
        chainsOut -= 1
        return (offer.token, written)
    }

    /// The next entry of the used ring, which names a chain that is out.
    @inline(__always)
    private func nextUsed() throws(FrontendError) -> (head: UInt16, written: UInt32) {
        let (id, written) = usedEntry(reaped)
        guard id < UInt32(size), offers[Int(id)].isOut else {
            throw .device("used id \(id) is not out")
        }
        return (UInt16(id), written)
    }

    /// The oldest chain that is out. One entry may stand for several: it is where the first of them
    /// would be and names the last; those before are taken as wholly written (§2.7.9).
    private func nextInOrder() throws(FrontendError) -> (head: UInt16, written: UInt32) {
        if !batch.isOpen {
            let (last, written) = try nextUsed()
            batch = Batch(last: last, written: written, isOpen: true)
        }
        let head = oldest
        oldest = (oldest &+ offers[Int(head)].entries) & (size - 1)
        guard head == batch.last else {
            return (head, UInt32(clamping: offers[Int(head)].writableBytes))
        }
        batch.isOpen = false
        return (head, batch.written)
    }

    public override func armCall() -> Bool {
        if options.eventIndex { setUsedEvent(reaped) } else { setInterruptsSuppressed(false) }
        Mapping.fullFence()
        return usedIndex() != reaped
    }

    /// With event indices one call in 65536 chains still comes.
    public override func suppressCalls() {
        if options.eventIndex {
            setUsedEvent(reaped &- 1)
        } else {
            setInterruptsSuppressed(true)
        }
    }

    /// What the device has given back, it has taken. More can't be seen from outside.
    public override var baseAfterLoss: UInt32 { UInt32(usedIndex()) }
}
