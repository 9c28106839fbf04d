import BlockStores
import GuestMemory
import Host
import VirtioBlock
import VirtioDevice
import VirtioSpec
import Virtqueue

/// A block device and the store behind it: what a session and its workers share.
public final class BlockService<Store: BlockStore>: VirtioDevice {
    public let block: BlockDevice
    public let store: Store

    public init(_ block: BlockDevice, on store: Store) {
        self.block = block
        self.store = store
    }

    /// A store that answers at once keeps the order by itself; others would have to wait for it.
    public var features: Features {
        store.answersAtOnce ? block.features.union(.inOrder) : block.features
    }
    public var queueCount: Int { block.queueCount }
    public var largestQueue: UInt32 { block.largestQueue }
    public var configuration: [UInt8] { block.configuration }
    public func writeConfiguration(_ bytes: [UInt8], at offset: Int) -> Bool {
        block.writeConfiguration(bytes, at: offset)
    }
    public var protocolFeatures: ProtocolFeatures {
        [.inflight, .getVringBaseInflight, .getVringBaseSkipDrain]
    }
    public func accept(_ features: Features) { block.accept(features) }
    public func reset() { block.reset() }
}

/// Serves block requests: judged by the device, done by the store's lane.
public struct BlockEngine<Lane: BlockLane & ~Copyable>: QueueEngine, ~Copyable {
    /// Chains and bytes taken in one breath, so that completions and orders are never far away,
    /// stores that do all at once included.
    private static var chainsPerBreath: Int { 128 }
    private static var bytesPerBreath: Int { 16 << 20 }

    /// A request under way.
    private struct Job: ~Copyable {
        let chain: Chain
        let status: ByteLocation
        /// Bytes that the driver finds written if all goes well, status included.
        let written: UInt32
        /// Ranges of a DISCARD or WRITE_ZEROES, and how many of them were begun.
        var ranges = 0
        var begun = 0
        var isDiscard = false
        /// To be made stable when all ranges are done.
        var endsWithFlush = false
    }

    public private(set) var inFlight = 0
    public private(set) var lingering = 0
    /// Requests that do not end well are left in flight.
    private var isSuspending = false
    public var counters = QueueCounters()
    private let block: BlockDevice
    private let identifier: [UInt8]
    private var lane: Lane
    private var buffers = ChainBuffers()
    private var jobs: Table<Job?>
    /// Room for each slot's ranges.
    private var ranges: Table<BlockRange>

    public init(
        _ service: BlockService<Lane.Store>, _: QueuePlace, slots: Int, tags: UInt64
    ) throws(SystemError) {
        lane = try Lane(service.store, slots: slots, tags: tags, buffers: QueueLimits.buffers)
        block = service.block
        identifier = service.block.identifier
        jobs = Table(count: slots) { _ in nil }
        ranges = Table(count: slots * BlockOptions.rangesPerRequest) { _ in BlockRange() }
    }

    public mutating func breathe<Queue: DeviceQueue & ~Copyable>(
        _ queue: inout Queue, _ memory: inout GuestMemory, _ ring: inout IORing
    ) throws(QueueViolation) -> Bool {
        var rules = block.rules
        var bytes = 0
        for count in 0..<Self.chainsPerBreath where bytes < Self.bytesPerBreath {
            guard let chain = try queue.next(&memory, &buffers) else { return count > 0 }
            bytes += buffers.readable.byteCount + buffers.writable.byteCount
            // Once for each: what follows the driver's turning its write cache off must obey.
            rules.writesAreDurable = block.writesAreDurable
            take(chain, rules, &queue, &ring)
        }
        return true
    }

    private mutating func take<Queue: DeviceQueue & ~Copyable>(
        _ chain: consuming Chain, _ rules: BlockRules, _ queue: inout Queue,
        _ ring: inout IORing
    ) {
        counters.requests &+= 1
        guard let status = buffers.writable.lastByte() else {
            // No byte to answer in: the driver gets its buffers back and nothing else.
            counters.malformed &+= 1
            return queue.complete(chain, written: 0)
        }
        let request = judge(chain.head, rules)
        var job = Job(chain: chain, status: status, written: written(request))
        switch request {
        case .read(let offset, let count):
            counters.bytesRead &+= UInt64(count)
            let read = StoreRequest(.read, offset: offset, count: UInt64(count))
            run(job, read, &queue, &ring)
        case .write(let offset, let count):
            counters.bytesWritten &+= UInt64(count)
            let write = StoreRequest(
                .write, offset: offset, count: UInt64(count), isDurable: rules.writesAreDurable)
            run(job, write, &queue, &ring)
        case .flush: run(job, StoreRequest(.flush), &queue, &ring)
        case .discard(let count), .writeZeroes(let count):
            job.ranges = count
            job.isDiscard = request == .discard(ranges: count)
            job.endsWithFlush = rules.writesAreDurable
            advance(job, .ok, &queue, &ring)
        case .identify:
            buffers.writable.write(identifier.span, at: 0)
            end(job, .ok, &queue)
        case .refuse(let answer): end(job, answer, &queue)
        }
    }

    private mutating func judge(_ head: UInt16, _ rules: BlockRules) -> BlockRequest {
        rules.judge(
            readable: &buffers.readable, writable: &buffers.writable, ranges: &ranges,
            from: Int(head) * BlockOptions.rangesPerRequest)
    }

    private func written(_ request: BlockRequest) -> UInt32 {
        switch request {
        // The bytes fit: a chain's are counted in 32 bits, the status byte among them.
        case .read(_, let count): UInt32(truncatingIfNeeded: count) &+ 1
        case .identify: UInt32(min(identifier.count, buffers.writable.byteCount)) + 1
        default: 1
        }
    }

    /// Gives the store a request, and goes on at once where it is done at once.
    private mutating func run<Queue: DeviceQueue & ~Copyable>(
        _ job: consuming Job, _ request: StoreRequest, _ queue: inout Queue,
        _ ring: inout IORing
    ) {
        let slot = Int(job.chain.head)
        let outcome =
            request.kind == .write
            ? lane.submit(request, buffers.readable, slot: slot, &ring)
            : lane.submit(request, buffers.writable, slot: slot, &ring)
        guard let outcome else {
            jobs[slot] = .some(job)
            inFlight += 1
            return
        }
        advance(job, outcome, &queue, &ring)
    }

    /// Begins the job's next range, or ends the job.
    private mutating func advance<Queue: DeviceQueue & ~Copyable>(
        _ job: consuming Job, _ outcome: StoreOutcome, _ queue: inout Queue,
        _ ring: inout IORing
    ) {
        if case .failed(let error) = outcome {
            counters.lastError = error
            return end(job, .ioError, &queue)
        }
        guard job.begun < job.ranges else {
            guard job.endsWithFlush else { return end(job, .ok, &queue) }
            job.endsWithFlush = false
            return run(job, StoreRequest(.flush), &queue, &ring)
        }
        let range = ranges[Int(job.chain.head) * BlockOptions.rangesPerRequest + job.begun]
        job.begun += 1
        let kind: StoreRequest.Kind =
            job.isDiscard ? .discard : range.unmap ? .zeroAndUnmap : .zero
        let request = StoreRequest(kind, offset: range.offset, count: range.count)
        // At most as deep as a request has ranges.
        run(job, request, &queue, &ring)
    }

    private mutating func end<Queue: DeviceQueue & ~Copyable>(
        _ job: consuming Job, _ answer: BlockStatus, _ queue: inout Queue
    ) {
        switch answer {
        case .ok: break
        case .ioError: counters.failed &+= 1
        case .unsupported: counters.unsupported &+= 1
        }
        job.status.store(answer.rawValue)
        let written = answer == .ok ? job.written : 1
        queue.complete(job.chain, written: written)
    }

    public mutating func complete<Queue: DeviceQueue & ~Copyable>(
        slot: Int, result: Int32, _ queue: inout Queue, _ ring: inout IORing
    ) {
        guard !isSuspending else { return completeOrLeave(slot, result, &queue, &ring) }
        guard let outcome = lane.complete(slot: slot, result: result, &ring),
            let job = jobs[slot].take()
        else { return }
        inFlight -= 1
        advance(job, outcome, &queue, &ring)
    }

    public mutating func cancel(_ ring: inout IORing) {
        isSuspending = true
        for slot in 0..<jobs.count { cancel(slot, &ring) }
    }

    private mutating func cancel(_ slot: Int, _ ring: inout IORing) {
        guard let job = jobs[slot].take() else { return }
        jobs[slot] = .some(job)
        lane.cancel(slot: slot, ownTag: Tag.cancel, &ring)
    }

    /// Ends a request that is done; leaves one that is not. All that was cancelled fails, so what
    /// fails is no error of the store's: whoever takes the request again will know.
    private mutating func completeOrLeave<Queue: DeviceQueue & ~Copyable>(
        _ slot: Int, _ result: Int32, _ queue: inout Queue, _ ring: inout IORing
    ) {
        let outcome = result < 0 ? nil : lane.complete(slot: slot, result: result, &ring)
        // More of it was begun.
        if result >= 0, outcome == nil { return cancel(slot, &ring) }
        guard let job = jobs[slot].take() else { return }
        inFlight -= 1
        if outcome == .ok, job.begun == job.ranges, !job.endsWithFlush {
            end(job, .ok, &queue)
        } else {
            queue.leave(job.chain)
        }
    }

    public mutating func suspend<Queue: DeviceQueue & ~Copyable>(_ queue: inout Queue) {
        for slot in 0..<jobs.count {
            guard let job = jobs[slot].take() else { continue }
            queue.leave(job.chain)
            lingering += 1
        }
        inFlight = 0
    }

    public mutating func endLingering() { lingering -= 1 }

    public mutating func touches(_ mapping: Mapping) -> Bool {
        for slot in 0..<jobs.count where isUsing(mapping, slot) { return true }
        return false
    }

    private mutating func isUsing(_ mapping: Mapping, _ slot: Int) -> Bool {
        guard let job = jobs[slot].take() else { return false }
        let isStatusThere = job.status.isIn(mapping)
        jobs[slot] = .some(job)
        return isStatusThere || lane.touches(mapping, slot: slot)
    }
}
