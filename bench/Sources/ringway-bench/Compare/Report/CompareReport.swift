import Foundation

/// What a comparison's report calls things, and in which units.
struct ReportTerms {
    /// Ours.
    let program: String
    /// In whole and with its unit in tables, of which one is so many a second.
    let rate: String
    let rateUnit: String
    let unit: Double
    let throughput: String
    /// What is counted.
    let operation: String
    /// The unit of processor time for each, and how many of it a microsecond has.
    let cpuUnit: String
    let cpuScale: Double

    var cpu: String { "CPU per \(operation)" }

    static let blk = ReportTerms(
        program: "ringway-blk", rate: "IOPS", rateUnit: "IOPS, k", unit: 1e3, throughput: "MiB/s",
        operation: "I/O", cpuUnit: "us", cpuScale: 1)
    static let net = ReportTerms(
        program: "ringway-net", rate: "packets a second", rateUnit: "Mpps", unit: 1e6,
        throughput: "Gbit/s", operation: "packet", cpuUnit: "ns", cpuScale: 1000)
    static let `switch` = ReportTerms(
        program: "ringway-switch", rate: "packets a second", rateUnit: "Mpps", unit: 1e6,
        throughput: "Gbit/s", operation: "packet", cpuUnit: "ns", cpuScale: 1000)

    /// Processor time per operation, ours by the best peer's, in every line.
    static let cpuTarget = 1.0
}

/// report.md and its plots, of a comparison with peers.
struct CompareReport<Peer: Contestant> {
    let comparison: Comparison<Peer>
    let machine: Machine
    let terms: ReportTerms
    /// Pictures beside those that every report has.
    let morePlots: ([(Peer.Line, [Contest])]) -> [(String, String)]
    /// What each line comes to where both sides have windows: near first.
    let contests: [[Contest]]

    init(
        _ comparison: Comparison<Peer>, _ machine: Machine, _ terms: ReportTerms,
        morePlots: @escaping ([(Peer.Line, [Contest])]) -> [(String, String)] = { _ in [] }
    ) {
        self.comparison = comparison
        self.machine = machine
        self.terms = terms
        self.morePlots = morePlots
        let least = min(2, comparison.rounds)
        contests = comparison.results.map { line in
            Distance.allCases.compactMap { Contest(line, at: $0, least: least) }
        }
    }

    var text: String {
        let pictures = plots.map { "![\($0.0)](\($0.0))\n" }.joined(separator: "\n")
        return """
            # \(terms.program) beside its peers

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
            : "The best configuration for each line, by median \(terms.rate), is what is compared,"
                + " on both sides."
        return """
            Every back-end of a line is driven by the same program, alone on the machine, in rounds of one \
            window each. A window is *near* if a cache line's round trip between the two processors \
            took less than \(Int(Distance.border)) ns before and after it, *far* if neither did; \
            windows in which that changed are dropped. Ratios are of medians, near by near and far \
            by far. \(choice) A median counts from \(min(2, comparison.rounds)) windows on; *partly* \
            says that some of the peers' configurations have too few there. CPU is the back-end's own \
            threads; memory is what is resident under load and huge pages, without what is shared with \
            the driver.

            """
    }

    private var ratios: String {
        var table = MarkdownTable(
            "line", "cores", "\(terms.rate), ours by peer's", "target",
            "\(terms.cpu), ours by peer's",
            "CPU \(terms.cpuUnit), ours / peer's",
            "p50 us, ours / peer's", "p99 us, ours / peer's", "memory MiB, ours / peer's",
            "windows, ours / peer's", "ours", "peer", "with our defaults: rate, CPU")
        for (result, contests) in zip(comparison.results, contests) {
            for one in contests {
                let cores = one.distance.rawValue + (one.isPartial ? " (partly)" : "")
                table.add(
                    result.line.title, cores, "**\(two(one.ratio))**",
                    result.line.target.map(two) ?? "", one.cpuRatio.map(two) ?? "?",
                    short(cpu(one.ours), cpu(one.peer)), short(one.ours.p50, one.peer.p50),
                    short(one.ours.p99, one.peer.p99),
                    "\(mib(one.ours)) / \(mib(one.peer))", "\(one.ours.count) / \(one.peer.count)",
                    one.ours.backend, one.peer.backend, defaults(one))
            }
            if contests.isEmpty, !result.peers.isEmpty {
                table.add(
                    result.line.title, "no common ground", "?", result.line.target.map(two) ?? "",
                    "", "", "", "", "", "", "", "", "")
            }
        }
        guard !table.rows.isEmpty else { return "No peer was measured.\n" }
        return table.text + remarks
    }

    /// What lines of the table are, each said once.
    private var remarks: String {
        var said: [String] = []
        for result in comparison.results {
            guard let remark = result.line.remark, !said.contains(remark) else { continue }
            said.append(remark)
        }
        return said.isEmpty ? "" : "\n" + said.map { "- \($0)\n" }.joined()
    }

    /// The same two ratios of Ringway without options, where another configuration did better.
    private func defaults(_ contest: Contest) -> String {
        guard let defaults = contest.defaults else { return "" }
        let cpu = contest.cpuRatio(of: defaults).map(two) ?? "?"
        return "\(two(defaults.rate / contest.peer.rate)), \(cpu)"
    }

    /// The lines that miss a target at a distance. Without windows on both sides nothing is said.
    private var shortfalls: String {
        var table = MarkdownTable("line", "cores", "what", "is", "target")
        for (result, contests) in zip(comparison.results, contests) {
            for one in contests {
                let cores = one.distance.rawValue
                if let target = result.line.target, one.ratio < target {
                    table.add(result.line.title, cores, terms.rate, two(one.ratio), two(target))
                }
                if let ratio = one.cpuRatio, (ratio * 100).rounded() > ReportTerms.cpuTarget * 100 {
                    table.add(
                        result.line.title, cores, terms.cpu, two(ratio),
                        two(ReportTerms.cpuTarget))
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
                "back-end", "cores", "windows", terms.rateUnit, "lowest to highest",
                terms.throughput, "p50 us", "p99 us",
                "CPU \(terms.cpuUnit) per \(terms.operation)", "memory MiB")
            for distance in Distance.allCases {
                for name in result.ours + result.peers {
                    guard let row = Summary(name, distance, of: result.windows) else { continue }
                    let lost = row.lost > 0 ? " (\(row.lost) lost)" : ""
                    table.add(
                        name, distance.rawValue, "\(row.count)", rate(row.rate) + lost,
                        "\(rate(row.lowest)) to \(rate(row.highest))",
                        row.throughput.short, short(row.p50), short(row.p99),
                        cpu(row)?.short ?? "?", mib(row))
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
        for (name, version) in Peer.versions(comparison.contestants) { table.add(name, version) }
        return table.text
    }

    private var commandLines: String {
        var seen: Set<String> = []
        var text = "```\n"
        for result in comparison.results {
            let measured = Set(result.windows.map(\.backend))
            for backend in comparison.contestants where backend.serves(result.line) {
                let name = backend.name(on: result.line)
                let socket = "DIR/SOCKET"
                let commands =
                    backend.preparation(on: result.line, socket: socket)
                    + [backend.words(on: result.line, socket: socket)]
                let told = commands.map { "  \($0.joined(separator: " "))\n" }
                let line = "\(name):\n" + told.joined()
                guard measured.contains(name), seen.insert(line).inserted else { continue }
                text += line
            }
        }
        return text + "```\n"
    }

    private var notes: String {
        guard !comparison.notes.isEmpty else { return "" }
        return "### Notes\n\n" + comparison.notes.map { "- \($0)\n" }.joined()
    }

    private func rate(_ perSecond: Double) -> String { (perSecond / terms.unit).short }

    /// In the unit of the report.
    private func cpu(_ summary: Summary) -> Double? { summary.cpu.map { $0 * terms.cpuScale } }
}
