import Host
import VhostUserFrontend
import VirtioSpec

/// One run against one back-end: from the handshake to the figures.
final class BlkBench {
    private let plan: BlkPlan
    private let driver: BlockDriver
    private let span: BlkSpan
    /// Of the back-end, where it is known.
    private let pid: Int32?
    private let progress: ProgressLine

    /// Connects, and finds out whether the device can do what is planned.
    init(_ plan: BlkPlan, socket: String, pid: Int32?, isJSON: Bool) throws {
        self.plan = plan
        let connection = try BenchMemory.connect(socket)
        var options = BlockDriver.Options()
        options.queues = 0
        options.queueSize = plan.queueSize
        options.packed = plan.isPacked
        options.indirect = plan.isIndirect
        options.arenaBytes = 4096
        let ram = try BenchMemory.make(bytes: plan.memoryBytes, hugePages: plan.hugePages)
        driver = try BlockDriver(connection, ram, options)
        self.pid = pid ?? connection.peerProcess
        progress = ProgressLine(isJSON: isJSON)
        span = try Self.span(plan, driver)
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
        let shift = BlkShift(
            plan: plan, span: span, shape: driver.queueShape, ram: driver.ram,
            run: UInt32(truncatingIfNeeded: Clock.nanoseconds() >> 10))
        let cpus = Array(plan.cpus.prefix(plan.threads))
        let crew = try Crew<BlkResult>(on: cpus, driver.connection, pid: pid, progress) {
            number, worker throws(FrontendError) in
            try shift.work(number, worker)
        }
        defer { crew.end() }
        let idle = try (0..<plan.idleQueues).map { _ in try driver.queueShape.queue(driver.ram) }
        for (index, place) in try crew.places() {
            try driver.start(index, place, base: place.start)
        }
        for (number, queue) in idle.enumerated() {
            try driver.start(plan.queues + number, queue.place, base: queue.start)
        }
        try crew.makeReady(saying: "writing what will be read")
        let (before, after) = try crew.measure(warmup: plan.warmup, seconds: plan.seconds) {
            let mebibytes = $0 * Double(plan.blockBytes) / 1_048_576
            return "\($0.short) IOPS, \(mebibytes.short) MiB/s"
        }
        var figures = BlkFigures()
        figures.share = BackendShare(pid, before, after)
        for result in try crew.results(saying: "reading back what was written") {
            figures.add(result)
        }
        for index in 0..<plan.queues + idle.count {
            _ = try driver.connection.vringBase(UInt32(index))
        }
        return figures
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
