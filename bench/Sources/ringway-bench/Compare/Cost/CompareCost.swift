import ArgumentParser
import Foundation

struct CompareCost: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cost",
        abstract: "What ringway-blk costs: idle, under light and full load, and as things grow.",
        discussion: """
            The store is the program's own memory, so that only what lies before it is measured. \
            Sections: idle, polling, queues, idle-queues, others.
            """)

    enum Section: String, CaseIterable, ExpressibleByArgument {
        case idle, polling, queues
        case idleQueues = "idle-queues"
        case others
    }

    @OptionGroup var options: CompareOptions

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("Sections to measure (default: all).", valueName: "section"))
    var sections: [Section] = Section.allCases

    @Option(help: ArgumentHelp("How long each idle stretch is.", valueName: "s"))
    var idleSeconds: Double?

    func run() throws {
        Leftovers.clearOnSignals()
        defer { Leftovers.clear() }
        let stand = try options.stand()
        let start = Date()
        var cost = CostMeasurement(
            stand: stand, program: try options.program("ringway-blk"),
            rounds: options.rounds ?? (options.quick ? 1 : 5),
            idleSeconds: idleSeconds ?? (options.quick ? 2 : 10), isQuick: options.quick,
            sections: Set(sections))
        cost.run()
        try options.write(
            CostReport.Raw(windows: cost.windows, idle: cost.idle, others: cost.others),
            to: "results.json")
        let report = CostReport(cost: cost, machine: Machine(stand, start: start))
        for (name, plot) in report.plots { try options.write(plot, to: name) }
        try options.write(report.text, to: "report.md")
        CompareProgress.say("done: \(options.out)/report.md")
    }
}
