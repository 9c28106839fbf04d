import Foundation

/// report.md and its plots, of what ringway-blk costs.
struct CostReport {
    /// results.json.
    struct Raw: Encodable {
        let windows: [Window]
        let idle: [CostMeasurement.Idle]
        let others: [CostMeasurement.Others]
    }

    let cost: CostMeasurement
    let machine: Machine

    var text: String {
        var text = """
            # What ringway-blk costs

            The store is the program's own memory; requests are random reads of 4 KiB. A window is \
            *near* if a cache line's round trip between the two processors took less than \
            \(Int(Distance.border)) ns before and after it, *far* if neither did. Figures are medians. \
            CPU is that of all threads of ringway-blk; RSS is under load, without memory shared with \
            the driver, and holds what has been read of the store, 256 MiB at most.


            """
        for section in CompareCost.Section.allCases where cost.sections.contains(section) {
            text += "## \(title(section))\n\n\(body(section))\n"
        }
        text += "## Machine and programs\n\n\(machineText)\n"
        if !cost.notes.isEmpty {
            text += "### Notes\n\n" + cost.notes.map { "- \($0)\n" }.joined()
        }
        return text
    }

    private func title(_ section: CompareCost.Section) -> String {
        switch section {
        case .idle: "Idle, after a load has ended"
        case .polling: "Light and full load, by how long a queue looks for work"
        case .queues: "More queues"
        case .idleQueues: "Idle queues beside a busy one"
        case .others: "Idle ringway-blk processes beside a busy one"
        }
    }

    private func body(_ section: CompareCost.Section) -> String {
        switch section {
        case .idle: idleTable
        case .polling:
            """
            Light is 1000 requests a second from a driver that sleeps until it is called; full is QD32.

            \(table(section))
            """
        case .queues:
            """
            All queues' threads share one processor, and the driver has the other.

            \(table(section))
            \(pictures(["queues-iops.svg", "queues-cpu.svg"]))
            """
        case .idleQueues: table(section) + "\n" + pictures(["idle-queues.svg"])
        case .others:
            """
            Each idle process has served a driver, which is still attached and asks nothing. Windows \
            in which those processes are stopped, as good as gone, are taken in turn with the others.

            \(table(section))
            \(othersTable)
            \(pictures(["others.svg"]))
            """
        }
    }

    private func pictures(_ names: [String]) -> String {
        names.filter { name in plots.contains { $0.0 == name } }
            .map { "![\($0)](\($0))\n" }.joined(separator: "\n")
    }

    private var idleTable: String {
        var table = MarkdownTable(
            "polling", "driver", "seconds", "CPU ms (schedstat)", "CPU ms (stat)", "% of a core",
            "voluntary switches", "involuntary switches", "RSS MiB")
        for one in cost.idle {
            let busy = Double(one.used.cpuNanoseconds) / 1e9 / one.seconds
            table.add(
                one.poll, one.isAttached ? "attached, asks nothing" : "gone", tenth(one.seconds),
                two(Double(one.used.cpuNanoseconds) / 1e6),
                "\(one.used.statNanoseconds / 1_000_000)", String(format: "%.4f", busy * 100),
                "\(one.used.voluntarySwitches)", "\(one.used.involuntarySwitches)",
                tenth(Double(one.used.residentKiB) / 1024))
        }
        return table.rows.isEmpty ? "Nothing was measured.\n" : table.text
    }

    private func table(_ section: CompareCost.Section) -> String {
        let windows = cost.windows.filter { $0.line == section.rawValue }
        // As planned; rounds begin anywhere.
        var names = cost.cases.filter { $0.section == section }.map(\.name)
        if names.isEmpty { names = Set(windows.map(\.backend)).sorted(by: Self.byNumbers) }
        var table = MarkdownTable(
            "what", "cores", "windows", "IOPS, k", "CPU us per I/O", "% of a core", "p50 us",
            "p99 us", "RSS MiB")
        for name in names {
            for distance in Distance.allCases {
                guard let row = Summary(name, distance, of: windows) else { continue }
                table.add(
                    name, distance.rawValue, "\(row.count)", tenth(row.rate / 1000),
                    row.cpu.map(two) ?? "?",
                    row.cpu.map { tenth($0 * row.rate / 1e4) } ?? "?", short(row.p50),
                    short(row.p99), mib(row))
            }
        }
        let dropped = windows.filter { !$0.counts }.count
        return (table.rows.isEmpty ? "No window counts.\n" : table.text)
            + (dropped > 0 ? "\nDropped windows: \(dropped).\n" : "")
    }

    /// As people sort: by the numbers in a name, not by their digits.
    private static func byNumbers(_ one: String, _ other: String) -> Bool {
        one.compare(other, options: .numeric) == .orderedAscending
    }

    private var othersTable: String {
        var table = MarkdownTable(
            "idle processes", "seconds", "CPU ms, all together", "voluntary switches",
            "RSS MiB, each")
        for one in cost.others where one.count > 0 {
            let cpu = one.used.reduce(0) { $0 + $1.cpuNanoseconds }
            table.add(
                "\(one.count)", tenth(one.seconds), two(Double(cpu) / 1e6),
                "\(one.used.reduce(0) { $0 + $1.voluntarySwitches })",
                tenth(median(one.used.map { Double($0.residentKiB) / 1024 })))
        }
        return table.rows.isEmpty ? "" : table.text
    }

    private var machineText: String {
        var table = MarkdownTable("", "")
        for (name, value) in machine.facts { table.add(name, value) }
        table.add("ringway-blk", Machine.version(ofBuilt: cost.program))
        let backend = BlkBackend(kind: .ringway(program: cost.program, pollMicroseconds: nil))
        let words = backend.words(for: .memory, socket: "SOCKET")
        table.add("command line", "`\(words.joined(separator: " "))`, with --poll-us, --num-queues")
        return table.text
    }
}

extension CostReport {
    /// Names and contents of the pictures.
    var plots: [(String, String)] {
        var plots: [(String, String)] = []
        let sections = Set(cost.windows.filter(\.counts).map(\.line))
        if sections.contains(CompareCost.Section.queues.rawValue) {
            plots.append(
                ("queues-iops.svg", queuesPlot("IOPS by number of queues", "IOPS") { $0.rate }))
            plots.append(
                (
                    "queues-cpu.svg",
                    queuesPlot("Processor time by number of queues", "CPU us per I/O", \.cpu)
                ))
        }
        let counts = cost.idleCounts
        if sections.contains(CompareCost.Section.idleQueues.rawValue) {
            let svg = latencyPlot(
                "Latency of a busy queue beside idle queues", "idle queues", counts,
                CostMeasurement.idleName)
            plots.append(("idle-queues.svg", svg))
        }
        if sections.contains(CompareCost.Section.others.rawValue) {
            let svg = latencyPlot(
                "Latency of a busy ringway-blk beside idle ones", "idle processes", counts
            ) { CostMeasurement.othersName($0, depth: $1, stopped: false) }
            plots.append(("others.svg", svg))
        }
        return plots
    }

    private func queuesPlot(
        _ title: String, _ axis: String, _ value: (Summary) -> Double?
    ) -> String {
        let panels = [false, true].map { perQueue in
            let names = CostMeasurement.queueCounts.map {
                CostMeasurement.queuesName($0, perQueue: perQueue)
            }
            let curves = distances.map { distance in
                CurveChart.Curve(
                    name: "cores \(distance.rawValue)",
                    values: names.map { name in
                        Summary(name, distance, of: cost.windows).flatMap(value)
                    }, color: distance.color, isDashed: false)
            }
            return CurveChart.Panel(
                title: perQueue ? "QD32 in each queue" : "QD32 in all", curves: curves)
        }
        return CurveChart(
            title: title, steps: CostMeasurement.queueCounts.map(String.init), stepAxis: "queues",
            valueAxis: axis, isLogarithmic: false, panels: panels
        ).svg
    }

    private func latencyPlot(
        _ title: String, _ axis: String, _ counts: [Int], _ name: (Int, Int) -> String
    ) -> String {
        let panels = CostMeasurement.depths.map { depth in
            let curves = distances.flatMap { distance in
                let rows = counts.map { Summary(name($0, depth), distance, of: cost.windows) }
                let cores = "cores \(distance.rawValue)"
                return [
                    CurveChart.Curve(
                        name: "p50, \(cores)", values: rows.map { $0?.p50 }, color: distance.color,
                        isDashed: false),
                    CurveChart.Curve(
                        name: "p99, \(cores)", values: rows.map { $0?.p99 }, color: distance.color,
                        isDashed: true),
                ]
            }
            return CurveChart.Panel(title: "QD\(depth)", curves: curves)
        }
        return CurveChart(
            title: title, steps: counts.map(String.init), stepAxis: axis, valueAxis: "latency, us",
            isLogarithmic: true, panels: panels
        ).svg
    }

    /// The distances that any window has.
    private var distances: [Distance] {
        Distance.allCases.filter { distance in cost.windows.contains { $0.distance == distance } }
    }
}
