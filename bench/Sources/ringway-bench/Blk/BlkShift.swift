import Host
import VhostUserFrontend

/// What a worker's queues did in the window.
struct BlkResult: Sendable {
    var operations: UInt64 = 0
    /// Operations a second.
    var rate = 0.0
    var latencies = Latencies()
    var errors: UInt64 = 0
    var firstError: String?
    var checked: UInt64 = 0
}

/// What a worker does: its share of the queues, from their making to the last check.
struct BlkShift: Sendable {
    let plan: BlkPlan
    let span: BlkSpan
    let shape: QueueShape
    let ram: GuestRAM
    /// Writes of one run are told from those of another.
    let run: UInt32

    /// Nil where the run was aborted.
    func work(_ number: Int, _ worker: BenchWorker<BlkResult>) throws(FrontendError) -> BlkResult? {
        var lanes: [BlkLane] = []
        var places: [Int: RingPlace] = [:]
        for index in stride(from: number, to: plan.queues, by: plan.threads) {
            let lane = try BlkLane(plan, span, index, shape, ram, run: run)
            lanes.append(lane)
            places[index] = lane.queue.place
        }
        guard worker.place(places) else { return nil }
        var shift = Shift(worker, lanes, interrupts: plan.interrupts)
        // What is read must have been written, to be known again.
        if plan.isVerified, plan.readPercent == 100 { try run(&shift, lanes, through: .fill) }
        guard let begin = worker.awaitWindow() else { return nil }
        var result = try load(&shift, lanes, begin)
        if plan.isVerified { try run(&shift, lanes, through: .check) }
        for lane in lanes {
            result.errors += lane.errors
            result.firstError = result.firstError ?? lane.firstError
            result.checked += lane.checked
        }
        return result
    }

    /// The window, and then an end to what is in flight.
    private func load(
        _ shift: inout Shift<BlkLane, BlkResult>, _ lanes: [BlkLane], _ begin: UInt64
    ) throws(FrontendError) -> BlkResult {
        let from = begin + UInt64(plan.warmup * 1e9)
        for lane in lanes { lane.job = .load }
        let nanoseconds = try shift.load(from: from, until: from + UInt64(plan.seconds * 1e9)) {
            for lane in lanes { lane.startCounting() }
        }
        var result = BlkResult()
        for lane in lanes {
            lane.stopCounting()
            lane.job = .rest
            result.operations += lane.operations
            result.latencies.add(lane.latencies)
        }
        result.rate = Double(result.operations) * 1e9 / Double(nanoseconds)
        try shift.run { $0.contains { $0.queue.inFlight > 0 } }
        return result
    }

    /// Every block of a fill or a check.
    private func run(
        _ shift: inout Shift<BlkLane, BlkResult>, _ lanes: [BlkLane], through job: BlkLane.Job
    ) throws(FrontendError) {
        for lane in lanes { lane.job = job }
        try shift.run { !$0.allSatisfy(\.isThrough) }
        for lane in lanes { lane.job = .rest }
    }
}
