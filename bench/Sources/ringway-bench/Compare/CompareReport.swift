import Foundation

/// report.md and its plots, of a comparison with peers.
struct CompareReport {
    let comparison: BlkComparison
    let machine: Machine
    /// What each line comes to where both sides have windows: near first.
    private let contests: [[Contest]]

    init(comparison: BlkComparison, machine: Machine) {
        self.comparison = comparison
        self.machine = machine
        let least = min(2, comparison.rounds)
        contests = comparison.results.map { line in
            Distance.allCases.compactMap { Contest(line, at: $0, least: least) }
        }
    }

    var text: String {
        let pictures = plots.map { "![\($0.0)](\($0.0))\n" }.joined(separator: "\n")
        return """
            # ringway-blk beside its peers

            \(introduction)
            ## Ratios

            \(ratios)
            \(pictures)
            ## What falls short

            \(shortfalls)
            ## Every configuration

            \(details)
            ## Machine and programs

            \(machineText)
            ### Command lines

            \(commandLines)
            \(notes)
            """
    }

    private var introduction: String {
        let choice =
            comparison.picksBest
            ? "A short qualifying round has picked one configuration of each side for each line:"
                + " the best configuration for each line is what is compared."
            : "The best configuration for each line, by median IOPS, is what is compared,"
                + " on both sides."
        return """
            Every back-end is driven by the same program, alone on the machine, in rounds of one \
            window each. A window is *near* if a cache line's round trip between the two processors \
            took less than \(Int(Distance.border)) ns before and after it, *far* if neither did; \
            windows in which that changed are dropped. Ratios are of medians, near by near and far \
            by far. \(choice) A median counts from \(min(2, comparison.rounds)) windows on; *partly* \
            says that some of the peers' configurations have too few there. CPU is the back-end's own \
            threads; RSS is under load, without memory shared with the driver.

            """
    }

    private var ratios: String {
        var table = MarkdownTable(
            "line", "cores", "IOPS, ours by peer's", "target", "CPU per I/O, ours by peer's",
            "p50 us, ours / peer's", "p99 us, ours / peer's", "RSS MiB, ours / peer's",
            "windows, ours / peer's", "ours", "peer", "with our defaults: IOPS, CPU")
        for (result, contests) in zip(comparison.results, contests) {
            for one in contests {
                let cores = one.distance.rawValue + (one.isPartial ? " (partly)" : "")
                table.add(
                    result.line.title, cores, "**\(two(one.ratio))**",
                    result.line.target.map(two) ?? "", one.cpuRatio.map(two) ?? "?",
                    "\(tenth(one.ours.p50)) / \(tenth(one.peer.p50))",
                    "\(tenth(one.ours.p99)) / \(tenth(one.peer.p99))",
                    "\(mib(one.ours)) / \(mib(one.peer))", "\(one.ours.count) / \(one.peer.count)",
                    one.ours.backend, one.peer.backend, defaults(one))
            }
            if contests.isEmpty, !result.peers.isEmpty {
                table.add(
                    result.line.title, "no common ground", "?", result.line.target.map(two) ?? "",
                    "", "", "", "", "", "", "", "")
            }
        }
        return table.rows.isEmpty ? "No peer was measured.\n" : table.text
    }

    /// The same two ratios of Ringway without options, where another configuration did better.
    private func defaults(_ contest: Contest) -> String {
        guard let defaults = contest.defaults else { return "" }
        let cpu = contest.cpuRatio(of: defaults).map(two) ?? "?"
        return "\(two(defaults.iops / contest.peer.iops)), \(cpu)"
    }

    /// The lines that miss a target at a distance. Without windows on both sides nothing is said.
    private var shortfalls: String {
        var table = MarkdownTable("line", "cores", "what", "is", "target")
        for (result, contests) in zip(comparison.results, contests) {
            for one in contests {
                let cores = one.distance.rawValue
                if let target = result.line.target, one.ratio < target {
                    table.add(result.line.title, cores, "IOPS", two(one.ratio), two(target))
                }
                if let ratio = one.cpuRatio, (ratio * 100).rounded() > Line.cpuTarget * 100 {
                    table.add(
                        result.line.title, cores, "CPU per I/O", two(ratio), two(Line.cpuTarget))
                }
            }
        }
        let unknown = zip(comparison.results, contests)
            .filter { $0.0.line.target != nil && $0.1.isEmpty }.map(\.0.line.title)
        let rest =
            unknown.isEmpty ? "" : "\nNot known of: \(unknown.joined(separator: "; ")).\n"
        return (table.rows.isEmpty ? "Nothing that was measured.\n" : table.text) + rest
    }

    private var details: String {
        var text = ""
        for result in comparison.results {
            text += "### \(result.line.title) (`\(result.line.name)`)\n\n"
            var table = MarkdownTable(
                "back-end", "cores", "windows", "IOPS, k", "lowest to highest", "MiB/s", "p50 us",
                "p99 us", "CPU us per I/O", "RSS MiB")
            for distance in Distance.allCases {
                for name in result.ours + result.peers {
                    guard let row = Summary(name, distance, of: result.windows) else { continue }
                    table.add(
                        name, distance.rawValue, "\(row.count)", tenth(row.iops / 1000),
                        "\(tenth(row.lowest / 1000)) to \(tenth(row.highest / 1000))",
                        "\(Int(row.mibPerSecond))", tenth(row.p50), tenth(row.p99),
                        row.cpu.map(two) ?? "?", mib(row))
                }
            }
            let dropped = result.windows.filter { !$0.counts }.count
            text += table.rows.isEmpty ? "No window counts.\n" : table.text
            if dropped > 0 { text += "\nDropped windows: \(dropped).\n" }
            text += "\n"
        }
        return text
    }

    private var machineText: String {
        var table = MarkdownTable("", "")
        for (name, value) in machine.facts { table.add(name, value) }
        for backend in comparison.contestants {
            guard case .ringway(let program, _) = backend.kind else { continue }
            table.add("ringway-blk", Machine.version(ofBuilt: program))
            break
        }
        if comparison.contestants.contains(where: { !$0.isOurs }) {
            let version = Tool.firstLine([Backend.storageDaemon, "--version"])
            table.add(Backend.storageDaemon, version)
        }
        return table.text
    }

    private var commandLines: String {
        var seen: Set<String> = []
        var text = "```\n"
        for result in comparison.results {
            let measured = Set(result.windows.map(\.backend))
            for backend in comparison.contestants where backend.serves(result.line.store) {
                let name = backend.name(on: result.line.store)
                let key = "\(name), \(result.line.store.rawValue)"
                guard measured.contains(name), seen.insert(key).inserted else { continue }
                let words = backend.words(
                    for: result.line.store, comparison.stand.paths, socket: "SOCKET")
                text += "\(key):\n  \(words.joined(separator: " "))\n"
            }
        }
        return text + "```\n"
    }

    private var notes: String {
        guard !comparison.notes.isEmpty else { return "" }
        return "### Notes\n\n" + comparison.notes.map { "- \($0)\n" }.joined()
    }

}

/// Resident memory in MiB.
func mib(_ summary: Summary) -> String {
    summary.residentKiB.map { tenth(Double($0) / 1024) } ?? "?"
}

func two(_ value: Double) -> String { String(format: "%.2f", value) }
func tenth(_ value: Double) -> String { String(format: "%.1f", value) }

extension CompareReport {
    /// Names and contents of the pictures.
    var plots: [(String, String)] {
        let lines = Array(zip(comparison.results, contests)).filter { !$0.1.isEmpty }
        guard !lines.isEmpty else { return [] }
        let distances = Distance.allCases.filter { distance in
            lines.contains { $0.1.contains { $0.distance == distance } }
        }
        func chart(
            _ title: String, _ axis: String, target: (Line) -> Double?,
            _ value: (Contest) -> Double?
        ) -> String {
            let groups = lines.map { result, contests in
                BarChart.Group(
                    label: result.line.title,
                    values: distances.map { distance in
                        contests.first { $0.distance == distance }.flatMap(value)
                    }, target: target(result.line))
            }
            let series = distances.map { "cores \($0.rawValue)" }
            return BarChart(
                title: title, axis: axis, series: series, colors: distances.map(\.color),
                groups: groups
            ).svg
        }
        var plots = [
            (
                "iops.svg",
                chart(
                    "IOPS: ringway-blk by the best peer", "ratio of median IOPS; more is better",
                    target: \.target, \.ratio)
            ),
            (
                "cpu.svg",
                chart(
                    "Processor time per request: ringway-blk by the best peer",
                    "ratio of median CPU us per I/O; less is better", target: { _ in nil },
                    \.cpuRatio)
            ),
        ]
        if let latency = latencyPlot { plots.append(("latency.svg", latency)) }
        return plots
    }

    /// Latency by depth, of random reads from /dev/shm.
    private var latencyPlot: String? {
        let chosen = zip(comparison.results, contests).filter { result, _ in
            result.line.store == .sharedMemoryFile && result.line.load.pattern == .randread
        }
        let panels = Distance.allCases.compactMap { distance -> CurveChart.Panel? in
            let points = chosen.map { $0.1.first { $0.distance == distance } }
            guard points.contains(where: { $0 != nil }) else { return nil }
            func curve(
                _ name: String, _ color: Int, dashed: Bool, _ value: (Contest) -> Double
            ) -> CurveChart.Curve {
                CurveChart.Curve(
                    name: name, values: points.map { $0.map(value) }, color: color,
                    isDashed: dashed)
            }
            return CurveChart.Panel(
                title: "cores \(distance.rawValue)",
                curves: [
                    curve("ringway-blk, p50", 0, dashed: false, \.ours.p50),
                    curve("ringway-blk, p99", 0, dashed: true, \.ours.p99),
                    curve("best peer, p50", 1, dashed: false, \.peer.p50),
                    curve("best peer, p99", 1, dashed: true, \.peer.p99),
                ])
        }
        guard !panels.isEmpty else { return nil }
        return CurveChart(
            title: "Latency of 4 KiB random reads from a file in /dev/shm",
            steps: chosen.map { "\($0.0.line.load.depth)" }, stepAxis: "requests in flight",
            valueAxis: "latency, us", isLogarithmic: true, panels: panels
        ).svg
    }
}
