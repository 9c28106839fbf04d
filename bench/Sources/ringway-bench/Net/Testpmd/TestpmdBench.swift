import Foundation
import Host
import VirtioSpec

/// One run against one back-end with DPDK's testpmd as the driver.
struct TestpmdBench {
    private let plan: NetPlan
    private let socket: String
    private let pid: Int32?
    private let progress: ProgressLine

    init(_ plan: NetPlan, socket: String, pid: Int32?, isJSON: Bool) {
        self.plan = plan
        self.socket = socket
        self.pid = pid
        progress = ProgressLine(isJSON: isJSON)
    }

    /// How far things are at one time.
    private struct Look {
        let counts: TestpmdCounts
        let sample: Sample
    }

    func run() throws -> NetFigures {
        defer { progress.clear() }
        progress.show("starting \(Testpmd.program)")
        let testpmd = try Testpmd(plan, socket: socket)
        defer { testpmd.end() }
        let headerBytes = NetLayout.headerBytes
        for command in commands(
            window: plan.window(
                headerBytes: headerBytes, isMergeable: plan.wantsMergeable))
        {
            try testpmd.ask(command)
        }
        progress.show("warming up")
        Thread.sleep(forTimeInterval: plan.warmup)
        let before = try look(testpmd)
        progress.show("measuring")
        Thread.sleep(forTimeInterval: plan.seconds)
        let after = try look(testpmd)
        var figures = NetFigures(headerBytes: headerBytes, isMergeable: plan.wantsMergeable)
        figures.share = BackendShare(pid, before.sample, after.sample)
        try testpmd.ask("stop")
        let end = try plan.mode == .loop ? takeIn(testpmd) : testpmd.counts()
        figures.total = result(before, after, end)
        return figures
    }

    /// What sets the load going.
    /// - Parameter window: packets that go round in loop.
    private func commands(window: Int) -> [String] {
        let start =
            switch plan.mode {
            case .tx: ["set fwd txonly", "start"]
            case .rx: ["set fwd rxonly", "start"]
            case .loop, .across: ["set fwd io", "start tx_first \(window / Testpmd.burst)"]
            }
        return ["set txpkts \(plan.frameBytes)"] + start
    }

    private func look(_ testpmd: Testpmd) throws -> Look {
        let usage = pid.flatMap { ProcessUsage(pid: $0) }
        let counts = try testpmd.counts()
        return Look(
            counts: counts, sample: Sample(completed: counts.moved(plan.mode), usage: usage))
    }

    /// Receives what is still under way, until nothing more comes.
    private func takeIn(_ testpmd: Testpmd) throws -> TestpmdCounts {
        try testpmd.ask("set fwd rxonly")
        try testpmd.ask("start")
        var counts = try testpmd.counts()
        var last = counts.received
        var lastArrival = Clock.nanoseconds()
        while counts.received < counts.sent {
            counts = try testpmd.counts()
            let now = Clock.nanoseconds()
            if counts.received != last {
                last = counts.received
                lastArrival = now
            }
            if now > lastArrival + Self.patience { break }
        }
        return counts
    }

    private static let patience: UInt64 = 200_000_000

    private func result(_ before: Look, _ after: Look, _ end: TestpmdCounts) -> NetResult {
        var result = NetResult()
        let packets = after.sample.completed - min(after.sample.completed, before.sample.completed)
        let nanoseconds = max(1, after.sample.time - before.sample.time)
        result.rate = Double(packets) * 1e9 / Double(nanoseconds)
        result.bitRate = result.rate * Double(plan.frameBytes) * 8
        result.sent = end.sent
        result.received = end.received
        result.lost = plan.mode == .loop ? end.sent - min(end.sent, end.received) : 0
        result.errors = end.errors
        if end.errors > 0 { result.firstError = "\(Testpmd.program) counts it" }
        return result
    }
}

extension TestpmdCounts {
    /// The packets that a mode is about.
    fileprivate func moved(_ mode: NetMode) -> UInt64 { mode == .tx ? sent : received }
}
