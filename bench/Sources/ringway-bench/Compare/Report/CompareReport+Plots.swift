import Foundation

/// Memory in MiB.
func mib(_ summary: Summary) -> String {
    summary.memoryKiB.map { tenth(Double($0) / 1024) } ?? "?"
}

/// Of microseconds that may not be known.
func short(_ value: Double?) -> String { value.map(\.short) ?? "" }

/// Two of them, side by side: nothing where neither is known.
func short(_ one: Double?, _ other: Double?) -> String {
    one == nil && other == nil ? "" : "\(short(one)) / \(short(other))"
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
            _ title: String, _ axis: String, target: (Peer.Line) -> Double?,
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
                "rate.svg",
                chart(
                    "\(terms.program) by the best peer: \(terms.rate)",
                    "ratio of medians; more is better",
                    target: \.target, \.ratio)
            ),
            (
                "cpu.svg",
                chart(
                    "\(terms.program) by the best peer: \(terms.cpu)",
                    "ratio of medians; less is better", target: { _ in nil },
                    \.cpuRatio)
            ),
        ]
        let all = zip(comparison.results, contests).map { ($0.line, $1) }
        plots += morePlots(all)
        return plots
    }
}

extension CompareReport<BlkBackend> {
    /// Latency by depth, of random reads from /dev/shm.
    static func latencyPlots(_ lines: [(BlkLine, [Contest])]) -> [(String, String)] {
        let chosen = lines.filter { line, _ in
            line.store == .sharedMemoryFile && line.load.pattern == .randread
        }
        let panels = Distance.allCases.compactMap { distance -> CurveChart.Panel? in
            let points = chosen.map { $0.1.first { $0.distance == distance } }
            guard points.contains(where: { $0 != nil }) else { return nil }
            func curve(
                _ name: String, _ color: Int, dashed: Bool, _ value: (Contest) -> Double?
            ) -> CurveChart.Curve {
                CurveChart.Curve(
                    name: name, values: points.map { $0.flatMap(value) }, color: color,
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
        guard !panels.isEmpty else { return [] }
        let chart = CurveChart(
            title: "Latency of 4 KiB random reads from a file in /dev/shm",
            steps: chosen.map { "\($0.0.load.depth)" }, stepAxis: "requests in flight",
            valueAxis: "latency, us", isLogarithmic: true, panels: panels)
        return [("latency.svg", chart.svg)]
    }
}
