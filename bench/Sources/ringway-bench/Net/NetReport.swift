/// What a run gives, before it is told.
struct NetFigures {
    /// How packets come in.
    let headerBytes: Int
    let isMergeable: Bool
    var total = NetResult()
    var share: BackendShare?

    init(headerBytes: Int, isMergeable: Bool) {
        self.headerBytes = headerBytes
        self.isMergeable = isMergeable
    }
}

/// The JSON object. Names are those of the keys, in snake case.
struct NetReport: Codable {
    /// Millions of packets a second: sent in tx, else received.
    var mpps: Double
    /// Of those packets' own bytes.
    var gbitS: Double
    var sent: UInt64
    var received: UInt64
    /// In loop and switch: sent and not come in.
    var lost: UInt64
    /// With one packet out at a time.
    var latencyUs: Latencies.Summary?
    var errors: UInt64
    var firstError: String?
    var c2cNs: RoundTrip
    var cpuNsPerPacket: Double?
    var backendRssKib: UInt64?
    var backend: BackendFigures?

    var driver: NetDriving
    var mode: NetMode
    var frame: Int
    var queuePairs: Int
    var queueSize: UInt16
    var packed: Bool
    var mergeable: Bool
    var headerBytes: Int
    var indirect: Bool
    var burst: Int
    var inflight: Int?
    var interrupts: Bool
    var rate: Double?
    var seconds: Double
    var warmup: Double
    var cpus: [Int32]

    init(_ plan: NetPlan, _ figures: NetFigures, _ roundTrip: RoundTrip) {
        let total = figures.total
        mpps = (total.rate / 1e6).rounded(digits: 6)
        gbitS = (total.bitRate / 1e9).rounded(digits: 4)
        sent = total.sent
        received = total.received
        lost = total.lost
        latencyUs = total.latencies.summary
        errors = total.errors
        firstError = total.firstError
        c2cNs = roundTrip
        cpuNsPerPacket = figures.share?.nanosecondsEach?.rounded(digits: 1)
        backendRssKib = figures.share?.memory.residentKiB
        backend = figures.share.map(BackendFigures.init)
        driver = plan.driving
        mode = plan.mode
        frame = plan.frameBytes
        queuePairs = plan.pairs
        queueSize = plan.queueSize
        packed = plan.isPacked
        mergeable = figures.isMergeable
        headerBytes = figures.headerBytes
        indirect = plan.isIndirect
        burst = plan.burst
        inflight =
            plan.mode.returns
            ? plan.window(headerBytes: figures.headerBytes, isMergeable: figures.isMergeable)
            : nil
        interrupts = plan.interrupts
        rate = plan.rate
        seconds = plan.seconds
        warmup = plan.warmup
        cpus = Array(plan.cpus.prefix(plan.threads))
    }

    /// For people.
    var table: String {
        let count = queuePairs == 1 ? "1 queue pair" : "\(queuePairs) queue pairs"
        let form = (packed ? "packed" : "split") + (mergeable ? ", mergeable" : "")
        let out = inflight.map { ", \($0) out at most" } ?? ""
        let each = cpuNsPerPacket.map { $0.short + " ns of CPU per packet, " } ?? ""
        return ReportText.table(
            "\(mode.rawValue), packets of \(frame), \(count) (\(form))\(out), \(seconds.short) s",
            [
                ("Mpps", mpps.short), ("Gbit/s", gbitS.short), ("round trip, us", latencyUs?.text),
                ("packets", "\(sent) sent, \(received) received, \(lost) lost"),
                ("back-end", backend.map { each + $0.text }), ("cache line, ns", c2cNs.text),
                ("errors", "\(errors)" + (firstError.map { "; the first: \($0)" } ?? "")),
            ])
    }
}
