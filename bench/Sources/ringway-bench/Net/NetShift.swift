import Host
import VhostUserFrontend
import VirtioSpec

/// A network card of the driver's: what was negotiated, as far as queues and packets depend on it,
/// and the memory that they are in.
struct NetLink: Sendable {
    let shape: QueueShape
    let headerBytes: Int
    let isMergeable: Bool
    let ram: GuestRAM
}

extension NetLink {
    init(_ driver: NetDriver) {
        self.init(
            shape: driver.queueShape, headerBytes: driver.headerBytes,
            isMergeable: driver.isMergeable, ram: driver.ram)
    }
}

/// What a worker's pairs did.
struct NetResult: Sendable {
    /// Packets a second in the window, and bits of them.
    var rate = 0.0
    var bitRate = 0.0
    /// Warm-up and end included: taken by the back-end; come in; sent and not come in.
    var sent: UInt64 = 0
    var received: UInt64 = 0
    var lost: UInt64 = 0
    var latencies = Latencies()
    var errors: UInt64 = 0
    var firstError: String?

    mutating func add(_ other: NetResult) {
        rate += other.rate
        bitRate += other.bitRate
        sent += other.sent
        received += other.received
        lost += other.lost
        latencies.add(other.latencies)
        errors += other.errors
        firstError = firstError ?? other.firstError
    }
}

/// What a worker does: its share of the pairs, from their making to the last packet.
struct NetShift: Sendable {
    let plan: NetPlan
    /// The card that packets go out of, and the one that they come in at.
    let sender: NetLink
    let receiver: NetLink

    /// How far a lane is.
    private struct Mark {
        var packets: UInt64 = 0
        var bytes: UInt64 = 0
    }

    /// Nil where the run was aborted.
    func work(_ number: Int, _ worker: BenchWorker<NetResult>) throws(FrontendError) -> NetResult? {
        var lanes: [NetLane] = []
        var places: [Int: RingPlace] = [:]
        for pair in stride(from: number, to: plan.pairs, by: plan.threads) {
            let lane = try NetLane(plan, sender, receiver, pair)
            lanes.append(lane)
            for (number, queue) in lane.queues.enumerated() {
                places[pair * lane.queues.count + number] = queue.place
            }
        }
        guard worker.place(places) else { return nil }
        for lane in lanes { lane.begin() }
        var shift = Shift(worker, lanes, interrupts: plan.interrupts)
        // A switch may make its buffers only now.
        try shift.run(patience: 20_000_000_000) { !$0.allSatisfy(\.isReady) }
        guard let begin = worker.awaitWindow() else { return nil }
        let from = begin + UInt64(plan.warmup * 1e9)
        var before = Mark()
        for lane in lanes { lane.start() }
        let nanoseconds = try shift.load(from: from, until: from + UInt64(plan.seconds * 1e9)) {
            before = mark(lanes)
            for lane in lanes { lane.startCounting() }
        }
        let after = mark(lanes)
        var result = NetResult()
        let perSecond = 1e9 / Double(nanoseconds)
        result.rate = Double(after.packets - before.packets) * perSecond
        result.bitRate = Double(after.bytes - before.bytes) * 8 * perSecond
        for lane in lanes {
            result.latencies.add(lane.latencies)
            lane.stop()
        }
        try shift.run { !$0.allSatisfy(\.isDrained) }
        for lane in lanes {
            result.sent += lane.taken
            result.received += lane.received
            result.lost += plan.mode.returns ? lane.offered - min(lane.offered, lane.received) : 0
            result.errors += lane.errors
            result.firstError = result.firstError ?? lane.firstError
        }
        return result
    }

    private func mark(_ lanes: [NetLane]) -> Mark {
        var mark = Mark()
        for lane in lanes {
            if plan.mode == .tx {
                mark.packets += lane.taken
                mark.bytes += lane.taken * UInt64(plan.frameBytes)
            } else {
                mark.packets += lane.received
                mark.bytes += lane.receivedBytes
            }
        }
        return mark
    }
}
