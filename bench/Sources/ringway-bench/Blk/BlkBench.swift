import Host
import Synchronization
import VhostUserFrontend
import VirtioSpec

/// One run against one back-end: from the handshake to the figures.
final class BlkBench {
    private let plan: BlkPlan
    private let driver: BlockDriver
    private let span: BlkSpan
    private let news: EventFD
    /// Of the back-end, where it is known.
    let pid: Int32?
    private let progress: ProgressLine

    /// Connects, and finds out whether the device can do what is planned.
    init(_ plan: BlkPlan, socket: String, pid: Int32?, isJSON: Bool) throws {
        self.plan = plan
        let connection: FrontendConnection
        do throws(FrontendError) { connection = try FrontendConnection(path: socket) } catch {
            guard case .system(let reason) = error else { throw error }
            throw BenchError("\(socket): \(reason); is a back-end listening there?")
        }
        var options = BlockDriver.Options()
        options.queues = 0
        options.queueSize = plan.queueSize
        options.packed = plan.isPacked
        options.indirect = plan.isIndirect
        options.arenaBytes = 4096
        driver = try BlockDriver(connection, Self.memory(plan), options)
        self.pid = pid ?? connection.peerProcess
        progress = ProgressLine(isJSON: isJSON)
        news = try EventFD()
        span = try Self.span(plan, driver)
    }

    private static func memory(_ plan: BlkPlan) throws -> GuestRAM {
        let ram = try GuestRAM([.init(byteCount: plan.memoryBytes, hugePages: plan.hugePages)])
        // Touched now, as a guest's memory is when its disk starts. Huge pages that the pool does not
        // have are missed only then.
        for address in stride(from: 0, to: plan.memoryBytes, by: plan.hugePages ? 2 << 20 : 4096) {
            ram.fill(0, count: 1, at: address)
        }
        guard !ram.place(0).mapping.isLost else {
            throw BenchError(
                "--huge-pages: \(plan.memoryBytes >> 21) pages of 2 MiB are not free; see"
                    + " /proc/sys/vm/nr_hugepages")
        }
        return ram
    }

    private static func span(_ plan: BlkPlan, _ driver: BlockDriver) throws -> BlkSpan {
        let features = driver.features
        if plan.isIndirect, !features.contains(.indirectDescriptors) {
            throw BenchError("the back-end takes no indirect descriptors: leave --indirect out")
        }
        if plan.readPercent < 100, features.contains(.blockReadOnly) {
            throw BenchError("the disk is read-only: only reads can be measured")
        }
        let wanted = plan.queues + plan.idleQueues
        let hasCount = driver.connection.protocolFeatures.contains(.multiqueue)
        let queues = hasCount ? Int(clamping: try driver.connection.queueCount()) : 1
        guard wanted <= queues else {
            throw BenchError("\(wanted) queues are asked for, and the back-end offers \(queues)")
        }
        let disk = try driver.tellingConfiguration()
        guard let bytes = disk.map({ $0.capacitySectors * 512 }) ?? plan.limit else {
            throw BenchError("the back-end does not say how large the disk is: give --size")
        }
        let block = disk.map { Int($0.blockSize) } ?? 512
        if features.contains(.blockSize), block > 512, plan.blockBytes % block != 0 {
            throw BenchError("--bs \(plan.blockBytes): the disk's blocks have \(block) bytes")
        }
        let usable = min(bytes, plan.limit ?? (plan.isVerified ? 256 << 20 : .max))
        let blocks = usable / UInt64(plan.blockBytes)
        guard blocks >= UInt64(plan.queues) else {
            throw BenchError(
                "the disk (\(ByteCount(bytes).text)) is smaller than a block of"
                    + " \(plan.blockBytes) bytes for each queue")
        }
        return BlkSpan(blocks: blocks, lanes: UInt64(plan.queues))
    }

    /// All of it. The queues are stopped and the connection closed before it returns.
    func run() throws -> BlkFigures {
        let run = UInt32(truncatingIfNeeded: Clock.nanoseconds() >> 10)
        let workers = try (0..<plan.threads).map {
            try BlkWorker(
                plan, span, number: $0, driver.queueShape, driver.ram, run: run,
                news: news.descriptor.raw)
        }
        let threads = try workers.enumerated().map { number, worker in
            try RunningThread("bench \(number)", cpus: [plan.cpus[number]]) { worker.work() }
        }
        defer {
            // Whoever still waits, waits no more.
            for worker in workers { worker.abort() }
            for thread in threads { thread.join() }
            progress.clear()
        }
        let idle = try (0..<plan.idleQueues).map { _ in try driver.queueShape.queue(driver.ram) }
        try start(workers, idle)
        workers.forEach { $0.proceed() }
        try wait(for: workers, saying: "writing what will be read") {
            if case .ready = $0 { true } else { false }
        }
        var figures = BlkFigures()
        try measure(workers, &figures)
        try wait(for: workers, saying: "reading back what was written") {
            if case .finished = $0 { true } else { false }
        }
        for case .finished(let result) in workers.map(\.current) { figures.add(result) }
        for index in 0..<plan.queues + idle.count {
            _ = try driver.connection.vringBase(UInt32(index))
        }
        return figures
    }

    private func start(_ workers: [BlkWorker], _ idle: [DriverQueue]) throws {
        try wait(for: workers, saying: "making the queues") {
            if case .placed = $0 { true } else { false }
        }
        for case .placed(let places) in workers.map(\.current) {
            for (index, place) in places.sorted(by: { $0.key < $1.key }) {
                try driver.start(index, place, base: place.start)
            }
        }
        for (number, queue) in idle.enumerated() {
            try driver.start(plan.queues + number, queue.place, base: queue.start)
        }
    }

    private func measure(_ workers: [BlkWorker], _ figures: inout BlkFigures) throws {
        let begin = Clock.nanoseconds()
        let from = begin + UInt64(plan.warmup * 1e9)
        let until = from + UInt64(plan.seconds * 1e9)
        workers.forEach { $0.proceed(at: begin) }
        var before = Sample(workers, pid)
        var last = before
        var next = begin + 1_000_000_000
        var isWarm = false
        while true {
            let now = Clock.nanoseconds()
            guard now < until else { break }
            if !isWarm, now >= from {
                isWarm = true
                before = Sample(workers, pid)
            }
            if now >= next {
                let sample = Sample(workers, nil)
                let blocks = Double(sample.completed - last.completed)
                let rate = blocks * 1e9 / Double(sample.time - last.time)
                let seconds = (Double(now) - Double(from)) / 1e9
                progress.show(
                    (seconds < 0 ? "warming up" : "\(seconds.short) s") + ": \(rate.short) IOPS, "
                        + "\((rate * Double(plan.blockBytes) / 1_048_576).short) MiB/s")
                last = sample
                next += 1_000_000_000
            }
            try pause(workers, until: min(until, next, isWarm ? .max : from))
        }
        figures.take(before, Sample(workers, pid))
    }

    /// Until `time` or a worker's news; throws where one has failed or the back-end is gone.
    private func pause(_ workers: [BlkWorker], until time: UInt64) throws {
        for case .failed(let text) in workers.map(\.current) { throw BenchError(text) }
        if driver.connection.isClosed { throw FrontendError.disconnected }
        let now = Clock.nanoseconds()
        guard now < time else { return }
        var set = PollSet()
        set.add(news.descriptor.raw)
        if set.wait(nanoseconds: min(time - now, 1_000_000_000)) > 0 { news.drain() }
    }

    /// - Parameter text: shown where it takes more than a second.
    private func wait(
        for workers: [BlkWorker], saying text: String, _ isThere: (BlkWorker.State) -> Bool
    ) throws {
        var next = Clock.nanoseconds() + 1_000_000_000
        while !workers.map(\.current).allSatisfy(isThere) {
            try pause(workers, until: next)
            guard Clock.nanoseconds() >= next else { continue }
            let done = workers.reduce(0) { $0 + $1.completed.load(ordering: .relaxed) }
            progress.show("\(text): \(done) requests so far")
            next += 1_000_000_000
        }
    }

    /// How far things are at one time.
    struct Sample: Sendable {
        let time = Clock.nanoseconds()
        let completed: UInt64
        let usage: ProcessUsage?

        init(_ workers: [BlkWorker], _ pid: Int32?) {
            usage = pid.flatMap { ProcessUsage(pid: $0) }
            completed = workers.reduce(0) { $0 + $1.completed.load(ordering: .relaxed) }
        }
    }
}

extension BlockDriver {
    /// The configuration space, of which back-ends tell more or less; nil where they tell none.
    func tellingConfiguration() throws -> BlockConfiguration? {
        guard connection.protocolFeatures.contains(.config) else { return nil }
        for count in [60, 36, 24, 8] as [UInt32] {
            do throws(FrontendError) {
                if let bytes = try connection.config(offset: 0, count: count) {
                    return BlockConfiguration(bytes)
                }
            } catch {
                guard case .badReply = error else { throw error }
            }
        }
        return nil
    }
}

/// A thread that is waited for once.
final class RunningThread: Sendable {
    private let thread: Mutex<Thread?>

    init(_ name: String, cpus: [Int32], _ body: @escaping @Sendable () -> Void) throws {
        thread = Mutex(try Thread(name: name, cpus: cpus, body: body))
    }

    func join() { if let thread = thread.withLock({ $0.take() }) { thread.join() } }
}
