import Host

/// One queue's io_uring traffic with a raw file: any number of requests in flight, short transfers
/// carried on, errors handed up.
public struct RawLane: BlockLane, ~Copyable {
    private enum Step {
        case read, write, flush, punch, zeroRange
        /// Zeroes as data, where the file system knows no other way.
        case zeroData
    }

    private struct Transfer {
        var step: Step
        var offset: UInt64
        /// Bytes still to go.
        var left: UInt64
        var isDurable: Bool
        /// Times that it was sent back untried.
        var retries: UInt8 = 0
        /// A discard that can't be done is done: its contents are of no use to anybody.
        var isAdvice: Bool
    }

    private let store: RawStore
    private let tags: UInt64
    private var atOnce: RawStore.AtOnce
    private var table: IOVectorTable
    private var transfers: Table<Transfer>
    private var bounce: BounceBuffer
    private let zeroes: Mapping
    private var zeroList: IOVectors

    /// A store that sends the same transfer back this often will not do it.
    private static let mostRetries: UInt8 = 100
    /// Bytes of the block of zeroes that `zeroData` writes over and over, and times in one call.
    private static let zeroBytes = 64 << 10
    private static let zeroesPerCall = 64

    /// A device begins so many operations while the next are prepared: a disk at depth 32 gave a fifth
    /// more than when all went together. What goes to the kernel's threads had better go together.
    private static let handOver: UInt32 = 4

    public init(
        _ store: RawStore, slots: Int, tags: UInt64, buffers: Int
    ) throws(SystemError) {
        let table = try IOVectorTable(slots: slots, capacity: max(buffers, Self.zeroesPerCall))
        let bounce = try BounceBuffer(store)
        let zeroes = try Mapping.anonymous(count: Self.zeroBytes)
        self.table = table
        self.bounce = bounce
        self.store = store
        self.tags = tags
        atOnce = store.atOnce
        self.zeroes = zeroes
        zeroList = IOVectors(capacity: Self.zeroesPerCall)
        let idle = Transfer(step: .flush, offset: 0, left: 0, isDurable: false, isAdvice: false)
        transfers = Table(count: slots) { _ in idle }
    }

    public mutating func submit(
        _ request: StoreRequest, _ buffers: borrowing IOVectors, slot: Int,
        _ ring: inout IORing
    ) -> StoreOutcome? {
        let step: Step
        switch request.kind {
        case .read, .write:
            guard isAligned(request, buffers) else { return bounce.transfer(request, buffers) }
            let done = request.kind == .read ? read(request, buffers) : write(request, buffers)
            if done == request.count { return .ok }
            return carryOn(request, buffers, done: done, slot: slot, &ring)
        case .flush where atOnce == .everything: return .ok
        case .flush: step = .flush
        case .discard, .zeroAndUnmap: step = .punch
        case .zero: step = .zeroRange
        }
        let isRange = step == .punch || step == .zeroRange
        if isRange, request.count == 0 { return .ok }
        transfers[slot] = Transfer(
            step: step, offset: request.offset, left: request.count,
            isDurable: request.isDurable, isAdvice: request.kind == .discard)
        return start(slot, &ring)
    }

    // What is done at once, in bytes. Whatever stops it, an error too, the ring meets again.

    @inline(__always)
    private mutating func read(
        _ request: StoreRequest, _ buffers: borrowing IOVectors
    ) -> UInt64 {
        if atOnce == .nothing { return 0 }
        let got = File.readAtOnce(
            store.file, at: request.offset, into: buffers, mayWait: atOnce == .everything)
        if got == -Int(SystemErrorCode.notSupported) { atOnce = .nothing }
        return UInt64(max(0, got))
    }

    @inline(__always)
    private func write(_ request: StoreRequest, _ buffers: borrowing IOVectors) -> UInt64 {
        guard atOnce == .everything else { return 0 }
        return UInt64(max(0, File.writeAtOnce(store.file, at: request.offset, from: buffers)))
    }

    /// Hands what is left of a read or a write to the ring.
    private mutating func carryOn(
        _ request: StoreRequest, _ buffers: borrowing IOVectors, done: UInt64, slot: Int,
        _ ring: inout IORing
    ) -> StoreOutcome? {
        table.store(buffers, in: slot)
        if done > 0 { table.advance(slot, by: Int(done)) }
        transfers[slot] = Transfer(
            step: request.kind == .read ? .read : .write, offset: request.offset + done,
            left: request.count - done, isDurable: request.isDurable, isAdvice: false)
        return start(slot, &ring)
    }

    private func isAligned(_ request: StoreRequest, _ buffers: borrowing IOVectors) -> Bool {
        guard store.offsetAlignment > 1 || store.memoryAlignment > 1 else { return true }
        let place = Int(request.offset) | Int(request.count)
        return place & (store.offsetAlignment - 1) == 0
            && buffers.isAligned(memory: store.memoryAlignment, length: store.offsetAlignment)
    }

    /// Hands the slot's next step to the ring.
    private mutating func start(_ slot: Int, _ ring: inout IORing) -> StoreOutcome? {
        let transfer = transfers[slot]
        let file = store.file.raw
        let tag = tags + UInt64(slot)
        let isQueued: Bool
        switch transfer.step {
        case .read:
            isQueued = ring.read(file, table, slot: slot, offset: transfer.offset, tag: tag)
        case .write, .zeroData:
            isQueued = ring.write(
                file, table, slot: slot, offset: transfer.offset, durable: transfer.isDurable,
                tag: tag)
        case .flush: isQueued = ring.synchronize(file, tag: tag)
        case .punch, .zeroRange:
            isQueued = ring.allocate(
                file, transfer.step == .punch ? .punchHole : .zero, offset: transfer.offset,
                count: transfer.left, tag: tag)
        }
        guard isQueued else { return .failed(SystemErrorCode.wouldBlock) }
        if store.isDirect { ring.submit(from: Self.handOver) }
        return nil
    }

    public mutating func complete(
        slot: Int, result: Int32, _ ring: inout IORing
    ) -> StoreOutcome? {
        if result == -SystemErrorCode.wouldBlock || result == -SystemErrorCode.interrupted {
            transfers[slot].retries += 1
            guard transfers[slot].retries < Self.mostRetries else { return .failed(-result) }
            return start(slot, &ring)
        }
        switch transfers[slot].step {
        case .read, .write, .zeroData: return moved(slot, result, &ring)
        case .flush: return result < 0 ? .failed(-result) : .ok
        case .punch, .zeroRange: return ranged(slot, result, &ring)
        }
    }

    private mutating func moved(
        _ slot: Int, _ result: Int32, _ ring: inout IORing
    ) -> StoreOutcome? {
        guard result > 0 else {
            // Nothing moved and no error: the file has become shorter than the disk.
            return .failed(result == 0 ? SystemErrorCode.ioError : -result)
        }
        let bytes = UInt64(result)
        guard bytes < transfers[slot].left else { return .ok }
        transfers[slot].retries = 0
        transfers[slot].left -= bytes
        transfers[slot].offset += bytes
        if transfers[slot].step == .zeroData {
            loadZeroes(slot)
        } else {
            table.advance(slot, by: Int(bytes))
        }
        return start(slot, &ring)
    }

    private mutating func ranged(
        _ slot: Int, _ result: Int32, _ ring: inout IORing
    ) -> StoreOutcome? {
        let isKnown = result != -SystemErrorCode.notSupported && result != -SystemErrorCode.noCall
        if result < 0, isKnown { return .failed(-result) }
        if isKnown || transfers[slot].isAdvice { return .ok }
        transfers[slot].step = .zeroData
        loadZeroes(slot)
        return start(slot, &ring)
    }

    private mutating func loadZeroes(_ slot: Int) {
        zeroList.removeAll()
        var left = transfers[slot].left
        while left > 0, zeroList.append(zeroes, count: Int(min(left, UInt64(Self.zeroBytes)))) {
            left -= min(left, UInt64(Self.zeroBytes))
        }
        table.store(zeroList, in: slot)
    }

    public mutating func cancel(slot: Int, ownTag: UInt64, _ ring: inout IORing) {
        _ = ring.cancel(tag: tags + UInt64(slot), ownTag: ownTag)
    }

    public func touches(_ mapping: Mapping, slot: Int) -> Bool {
        switch transfers[slot].step {
        case .read, .write: table.touches(slot, mapping)
        default: false
        }
    }
}
