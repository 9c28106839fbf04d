/// What a run gives, before it is told.
struct BlkFigures {
    var iops = 0.0
    var latencies = Latencies()
    var errors: UInt64 = 0
    var firstError: String?
    var checked: UInt64 = 0
    var share: BackendShare?

    mutating func add(_ result: BlkResult) {
        iops += result.rate
        latencies.add(result.latencies)
        errors += result.errors
        firstError = firstError ?? result.firstError
        checked += result.checked
    }
}

/// The JSON object. Names are those of the keys, in snake case.
struct BlkReport: Codable {
    var iops: Double
    var mibS: Double
    var latencyUs: Latencies.Summary?
    var errors: UInt64
    var firstError: String?
    var blocksChecked: UInt64?
    var c2cNs: RoundTrip
    var cpuUsPerIo: Double?
    var backendRssKib: UInt64?
    var backend: BackendFigures?

    var rw: BlkPattern
    var readPercent: Int
    var bs: Int
    var qd: Int
    var queues: Int
    var idleQueues: Int
    var queueSize: UInt16
    var packed: Bool
    var indirect: Bool
    var interrupts: Bool
    var rate: Double?
    var seconds: Double
    var warmup: Double
    var cpus: [Int32]

    init(_ plan: BlkPlan, _ figures: BlkFigures, _ roundTrip: RoundTrip) {
        iops = figures.iops.rounded(digits: 1)
        mibS = (figures.iops * Double(plan.blockBytes) / 1_048_576).rounded(digits: 2)
        latencyUs = figures.latencies.summary
        errors = figures.errors
        firstError = figures.firstError
        blocksChecked = plan.isVerified ? figures.checked : nil
        c2cNs = roundTrip
        cpuUsPerIo = figures.share?.nanosecondsEach.map { ($0 / 1000).rounded(digits: 3) }
        backendRssKib = figures.share?.memory.residentKiB
        backend = figures.share.map(BackendFigures.init)
        rw = plan.pattern
        readPercent = plan.readPercent
        bs = plan.blockBytes
        qd = plan.depth
        queues = plan.queues
        idleQueues = plan.idleQueues
        queueSize = plan.queueSize
        packed = plan.isPacked
        indirect = plan.isIndirect
        interrupts = plan.interrupts
        rate = plan.rate
        seconds = plan.seconds
        warmup = plan.warmup
        cpus = Array(plan.cpus.prefix(plan.threads))
    }

    /// For people.
    var table: String {
        let mix = readPercent > 0 && readPercent < 100 ? ", \(readPercent) % reads" : ""
        let count = queues == 1 ? "1 queue" : "\(queues) queues"
        let head =
            "\(rw.rawValue)\(mix), blocks of \(ByteCount(UInt64(bs)).text), QD \(qd), \(count)"
            + " (\(packed ? "packed" : "split")), \(seconds.short) s"
        let each = cpuUsPerIo.map { $0.short + " us of CPU per request, " } ?? ""
        return ReportText.table(
            head,
            [
                ("IOPS", iops.short), ("MiB/s", mibS.short), ("latency, us", latencyUs?.text),
                ("back-end", backend.map { each + $0.text }), ("cache line, ns", c2cNs.text),
                ("blocks checked", blocksChecked.map { "\($0)" }),
                ("errors", "\(errors)" + (firstError.map { "; the first: \($0)" } ?? "")),
            ])
    }
}
