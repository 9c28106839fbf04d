import Host
import VhostUserFrontend
import VirtioSpec

/// One run against one back-end: from the handshake to the figures.
final class NetBench {
    private let plan: NetPlan
    /// One, or one for each port of a switch.
    private let drivers: [NetDriver]
    /// Of the back-end, where it is known.
    private let pid: Int32?
    private let progress: ProgressLine

    /// Connects, and finds out whether the device can do what is planned.
    /// - Parameter sockets: where packets go out, and where they come in if that is another one.
    init(_ plan: NetPlan, sockets: [String], pid: Int32?, isJSON: Bool) throws {
        self.plan = plan
        drivers = try sockets.map { try Self.driver(plan, $0) }
        self.pid = pid ?? drivers[0].connection.peerProcess
        progress = ProgressLine(isJSON: isJSON)
        for driver in drivers { try judge(driver) }
    }

    private static func driver(_ plan: NetPlan, _ socket: String) throws -> NetDriver {
        let connection = try BenchMemory.connect(socket)
        var options = NetDriver.Options()
        options.makesQueues = false
        options.pairs = plan.pairs
        options.queueSize = plan.queueSize
        options.packed = plan.isPacked
        options.indirect = plan.isIndirect
        options.mergeable = plan.wantsMergeable
        options.offloads = plan.offloads
        let ram = try BenchMemory.make(bytes: plan.memoryBytes, hugePages: plan.hugePages)
        return try NetDriver(connection, ram, options)
    }

    private func judge(_ driver: NetDriver) throws {
        let features = driver.features
        if plan.isIndirect, !features.contains(.indirectDescriptors) {
            throw BenchError("the back-end takes no indirect descriptors: leave --indirect out")
        }
        guard features.isSuperset(of: plan.offloads) else {
            throw BenchError(
                "--frame \(plan.frameBytes): the back-end does not offer all that packets to be cut"
                    + " by others need (CSUM, TSO4)")
        }
        guard driver.connection.protocolFeatures.contains(.multiqueue) else { return }
        let pairs = Int(clamping: try driver.connection.queueCount())
        guard plan.pairs <= pairs else {
            throw BenchError("\(plan.pairs) queue pairs, and the back-end offers \(pairs)")
        }
    }

    /// All of it. The queues are stopped and the connection closed before it returns.
    func run() throws -> NetFigures {
        let links = drivers.map(NetLink.init)
        let receiver = links[links.count - 1]
        let shift = NetShift(plan: plan, sender: links[0], receiver: receiver)
        let cpus = Array(plan.cpus.prefix(plan.threads))
        let crew = try Crew<NetResult>(on: cpus, drivers[0].connection, pid: pid, progress) {
            number, worker throws(FrontendError) in
            try shift.work(number, worker)
        }
        defer { crew.end() }
        for (index, place) in try crew.places() {
            let (card, queue) = index.quotientAndRemainder(
                dividingBy: plan.pairs * NetLayout.queuesPerPair)
            try drivers[card].start(queue, place, base: place.start)
        }
        try crew.makeReady(saying: "starting")
        let (before, after) = try crew.measure(warmup: plan.warmup, seconds: plan.seconds) {
            let gigabits = $0 * Double(plan.frameBytes) * 8 / 1e9
            return "\(($0 / 1e6).short) Mpps, \(gigabits.short) Gbit/s"
        }
        var figures = NetFigures(
            headerBytes: receiver.headerBytes, isMergeable: receiver.isMergeable)
        figures.share = BackendShare(pid, before, after)
        for result in try crew.results(saying: "waiting for the last packets") {
            figures.total.add(result)
        }
        for driver in drivers { _ = try driver.stop() }
        return figures
    }
}
