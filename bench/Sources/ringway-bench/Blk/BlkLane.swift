import Host
import VhostUserFrontend
import VirtioSpec

/// One queue under load. Per request it allocates nothing and makes no system call but a kick; the
/// clock is read once for all that come back together.
final class BlkLane: BenchLane {
    /// What is offered next.
    enum Job { case load, fill, check, rest }

    let queue: DriverQueue
    let awaited: [DriverQueue]
    private let stream: BlockStream
    private let plan: BlkPlan
    private let blocks: Range<UInt64>
    private let sectorsPerBlock: UInt64
    private let book: BlkBook?
    private var random: QuickRandom
    var job = Job.rest { didSet { cursor = blocks.lowerBound } }
    private var cursor: UInt64

    private var idle: [Int]
    /// By slot: since when it is out, what it does, and where.
    private var issued: [UInt64]
    private var blockOf: [UInt64]
    private var isReadOf: [Bool]
    private var numberOf: [UInt32]
    /// Those that came back together, and after how long.
    private var finished: [Int]
    private var elapsed: [UInt64]

    /// Nanoseconds between two requests, 0 for as fast as it goes; and when the next may go.
    private let interval: UInt64
    private var nextDue: UInt64 = 0

    var missing: String? { queue.inFlight > 0 ? "\(queue.inFlight) requests are out" : nil }
    var due: UInt64? { job == .load && interval != 0 && !idle.isEmpty ? nextDue : nil }

    /// Whether what comes back is counted, and what was.
    private var isCounting = false
    private(set) var operations: UInt64 = 0
    private(set) var latencies = Latencies()
    /// Of all requests, counted or not.
    private(set) var errors: UInt64 = 0
    private(set) var firstError: String?
    var checked: UInt64 { book?.checked ?? 0 }

    init(
        _ plan: BlkPlan, _ span: BlkSpan, _ index: Int, _ shape: QueueShape, _ ram: GuestRAM,
        run: UInt32
    ) throws(FrontendError) {
        self.plan = plan
        queue = try shape.queue(ram)
        awaited = [queue]
        let depth = plan.depth
        stream = BlockStream(queue, slots: depth, bytesPerSlot: plan.blockBytes)
        // A random load without a book may go anywhere.
        let isAnywhere = plan.pattern.isRandom && !plan.isVerified
        blocks = isAnywhere ? 0..<span.blocks : span.share(index)
        sectorsPerBlock = UInt64(plan.blockBytes / 512)
        book =
            plan.isVerified
            ? BlkBook(share: blocks, blockBytes: plan.blockBytes, run: run) : nil
        random = QuickRandom(seed: UInt64(run) << 16 | UInt64(index))
        cursor = blocks.lowerBound
        idle = Array((0..<depth).reversed())
        issued = Array(repeating: 0, count: depth)
        blockOf = issued
        isReadOf = Array(repeating: false, count: depth)
        numberOf = Array(repeating: 0, count: depth)
        finished = Array(repeating: 0, count: depth)
        elapsed = issued
        interval = plan.rate.map { UInt64(1e9 * Double(plan.queues) / $0) } ?? 0
        if !plan.interrupts { queue.suppressCalls() }
        // Pages of its own for each, before anyone counts, and nothing that compresses well.
        for slot in 0..<depth {
            for word in 0..<plan.blockBytes / 8 {
                stream.memory.store64(random.next(), at: stream.offset(slot) + word * 8)
            }
        }
    }

    func startCounting() {
        isCounting = true
        operations = 0
        latencies.reset()
    }

    func stopCounting() { isCounting = false }

    /// Takes back what is finished, offers anew, and only then does the sums.
    func turn(_ now: inout UInt64) throws(FrontendError) -> Int {
        var count = 0
        while count < plan.depth, let (slot, status) = try stream.reap() {
            finished[count] = slot
            count += 1
            if status != BlockStatus.ok.rawValue || book != nil { judge(slot, status) }
        }
        if count > 0 || !idle.isEmpty { now = Clock.nanoseconds() }
        for place in 0..<count {
            let slot = finished[place]
            elapsed[place] = now &- issued[slot]
            idle.append(slot)
        }
        try offer(now)
        if isCounting {
            operations += UInt64(count)
            for place in 0..<count { latencies.record(elapsed[place]) }
        }
        return count
    }

    private func offer(_ now: UInt64) throws(FrontendError) {
        var offered = 0
        while let slot = idle.last, job != .load || interval == 0 || nextDue <= now {
            guard let (isRead, block) = next() else { break }
            idle.removeLast()
            if let book, !isRead {
                numberOf[slot] = book.stamp(block, stream.memory, at: stream.offset(slot))
            }
            blockOf[slot] = block
            isReadOf[slot] = isRead
            issued[slot] = now
            let type = isRead ? BlockRequestType.in : BlockRequestType.out
            guard stream.offer(type, sector: block * sectorsPerBlock, slot: slot) else {
                throw .device("the ring is full with \(queue.inFlight) requests")
            }
            offered += 1
            // What is late by more than a queue full is not made up for.
            if interval != 0 {
                nextDue = max(nextDue &+ interval, now &- interval &* UInt64(plan.depth))
            }
        }
        if offered > 0 { queue.submit() }
    }

    /// The next request; nil where none can be made now.
    private func next() -> (isRead: Bool, block: UInt64)? {
        switch job {
        case .rest: return nil
        case .fill:
            guard cursor < blocks.upperBound, let block = book?.claim(near: cursor) else {
                return nil
            }
            cursor += 1
            return (false, block)
        case .check:
            while cursor < blocks.upperBound {
                cursor += 1
                guard let book, book.isKnown(cursor - 1) else { continue }
                return book.claim(near: cursor - 1).map { (true, $0) }
            }
            return nil
        case .load:
            let isRead =
                plan.readPercent == 100
                || plan.readPercent > 0 && random.below(100) < UInt64(plan.readPercent)
            let block = nextBlock()
            guard let book else { return (isRead, block) }
            return book.claim(near: block).map { (isRead, $0) }
        }
    }

    private func nextBlock() -> UInt64 {
        if plan.pattern.isRandom {
            return blocks.lowerBound + random.below(blocks.upperBound - blocks.lowerBound)
        }
        let block = cursor
        cursor = cursor + 1 == blocks.upperBound ? blocks.lowerBound : cursor + 1
        return block
    }

    /// Whether a fill or a check has come to its end.
    var isThrough: Bool { cursor >= blocks.upperBound && queue.inFlight == 0 }

    private func judge(_ slot: Int, _ status: UInt8) {
        let block = blockOf[slot]
        let isFine = status == BlockStatus.ok.rawValue
        if !isFine {
            let name = isReadOf[slot] ? "reading" : "writing"
            report("\(name) sector \(block * sectorsPerBlock): status \(status)")
        }
        guard let book else { return }
        if !isReadOf[slot] {
            book.written(block, number: isFine ? numberOf[slot] : nil)
        } else if !isFine {
            book.release(block)
        } else if let trouble = book.read(block, stream.memory, at: stream.offset(slot)) {
            report(trouble)
        }
    }

    private func report(_ text: String) {
        errors += 1
        if firstError == nil { firstError = text }
    }
}
