import Foundation

/// What a run gives, before it is told.
struct BlkFigures {
    var iops = 0.0
    var latencies = Latencies()
    var errors: UInt64 = 0
    var firstError: String?
    var checked: UInt64 = 0
    var cpuMicrosecondsPerIO: Double?
    var usage: ProcessUsage?
    var voluntarySwitches: UInt64?
    var involuntarySwitches: UInt64?

    mutating func add(_ result: BlkResult) {
        iops += result.rate
        latencies.add(result.latencies)
        errors += result.errors
        firstError = firstError ?? result.firstError
        checked += result.checked
    }

    /// The back-end's part in what came back between two samples.
    mutating func take(_ before: BlkBench.Sample, _ after: BlkBench.Sample) {
        guard let old = before.usage, let new = after.usage else { return }
        usage = new
        // A thread that has ended takes its count along.
        func grown(_ count: KeyPath<ProcessUsage, UInt64>) -> UInt64 {
            new[keyPath: count] - min(old[keyPath: count], new[keyPath: count])
        }
        voluntarySwitches = grown(\.voluntarySwitches)
        involuntarySwitches = grown(\.involuntarySwitches)
        let count = after.completed - before.completed
        guard count > 0, new.cpuNanoseconds >= old.cpuNanoseconds else { return }
        cpuMicrosecondsPerIO =
            Double(new.cpuNanoseconds - old.cpuNanoseconds) / 1000 / Double(count)
    }
}

/// The JSON object. Names are those of the keys, in snake case.
struct BlkReport: Codable {
    struct RoundTrip: Codable {
        var before: Double?
        var after: Double?
    }
    struct Backend: Codable {
        var pid: Int32
        var rssKib: UInt64
        var rssPrivateKib: UInt64
        var contextSwitches: UInt64
        var contextSwitchesInvoluntary: UInt64
    }

    var iops: Double
    var mibS: Double
    var latencyUs: Latencies.Summary?
    var errors: UInt64
    var firstError: String?
    var blocksChecked: UInt64?
    var c2cNs: RoundTrip
    var cpuUsPerIo: Double?
    var backendRssKib: UInt64?
    var backend: Backend?

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

    init(_ plan: BlkPlan, _ figures: BlkFigures, pid: Int32?, _ roundTrip: RoundTrip) {
        iops = figures.iops.rounded(digits: 1)
        mibS = (figures.iops * Double(plan.blockBytes) / 1_048_576).rounded(digits: 2)
        latencyUs = figures.latencies.summary
        errors = figures.errors
        firstError = figures.firstError
        blocksChecked = plan.isVerified ? figures.checked : nil
        c2cNs = roundTrip
        cpuUsPerIo = figures.cpuMicrosecondsPerIO?.rounded(digits: 3)
        backendRssKib = figures.usage?.residentKiB
        if let pid, let usage = figures.usage {
            backend = Backend(
                pid: pid, rssKib: usage.residentKiB, rssPrivateKib: usage.privateKiB,
                contextSwitches: figures.voluntarySwitches ?? 0,
                contextSwitchesInvoluntary: figures.involuntarySwitches ?? 0)
        }
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

    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys]
        return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    }

    /// For people.
    var table: String {
        let mix = readPercent > 0 && readPercent < 100 ? ", \(readPercent) % reads" : ""
        let count = queues == 1 ? "1 queue" : "\(queues) queues"
        var lines = [
            "\(rw.rawValue)\(mix), blocks of \(ByteCount(UInt64(bs)).text), QD \(qd), \(count)"
                + " (\(packed ? "packed" : "split")), \(seconds.short) s"
        ]
        func row(_ name: String, _ text: String) {
            lines.append("  " + name.padding(toLength: 18, withPad: " ", startingAt: 0) + text)
        }
        row("IOPS", iops.short)
        row("MiB/s", mibS.short)
        if let latencyUs {
            row(
                "latency, us",
                "avg \(latencyUs.avg.short)   p50 \(latencyUs.p50.short)   p99"
                    + " \(latencyUs.p99.short)   p99.9 \(latencyUs.p999.short)")
        }
        if let backend {
            row(
                "back-end",
                "\(cpuUsPerIo.map { $0.short + " us of CPU per request, " } ?? "")"
                    + "\(backend.rssPrivateKib) KiB of its own resident,"
                    + " \(backend.contextSwitches + backend.contextSwitchesInvoluntary)"
                    + " context switches (process \(backend.pid))")
        }
        if let before = c2cNs.before, let after = c2cNs.after {
            row("cache line, ns", "\(before.short) before, \(after.short) after, a round trip")
        }
        if let blocksChecked { row("blocks checked", "\(blocksChecked)") }
        row("errors", "\(errors)" + (firstError.map { "; the first: \($0)" } ?? ""))
        return lines.joined(separator: "\n") + "\n"
    }
}
