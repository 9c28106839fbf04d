import ArgumentParser
import Foundation

struct CompareNet: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "net",
        abstract: "ringway-net and DPDK's testpmd (net_vhost), each driven by `ringway-bench net`.",
        discussion: """
            loop: the back-end returns what it gets; sink: it takes; source: it sends; trip: one packet \
            out at a time. Lines: \(NetLine.all.map(\.name).joined(separator: ", ")).
            A line's ratio is our best configuration's packets a second by the peers' best one's.
            """)

    @OptionGroup var options: CompareOptions

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("Lines to measure, by name or its beginning.", valueName: "name"))
    var lines: [String] = []

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "Peers' configurations: testpmd, testpmd-huge (on huge pages); or none.",
            valueName: "name"))
    var peers: [String] = ["testpmd", "testpmd-huge"]

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "Ringway's configurations: default, or a number for --poll-us; or none.",
            valueName: "poll"))
    var ringwayPoll: [String] = ["default"]

    @Flag(help: "A short round first; then only the best configuration of each side and line.")
    var onlyBest = false

    func validate() throws {
        for poll in ringwayPoll where poll != "default" && poll != "none" && Int(poll) == nil {
            throw ValidationError("--ringway-poll \(poll): default, or a number of microseconds")
        }
        let names = Self.peers.map(\.name)
        for peer in peers where peer != "none" && !names.contains(peer) {
            throw ValidationError(
                "--peers \(peer): there is none; they are \(names.joined(separator: " "))")
        }
        for name in lines where !NetLine.all.contains(where: { $0.name.hasPrefix(name) }) {
            throw ValidationError(
                "--lines \(name): there is none; they are "
                    + NetLine.all.map(\.name).joined(separator: " "))
        }
    }

    private static let peers = [false, true].map {
        let backend = NetBackend(kind: .testpmd(hugePages: $0))
        return (name: backend.name(on: NetLine.all[0]), backend: backend)
    }

    func run() throws {
        Leftovers.clearOnSignals()
        defer { Leftovers.clear() }
        let stand = try options.stand()
        let names = NetLine.all.map(\.name)
        var contestants = try contestants()
        var note: String?
        if contestants.contains(where: \.usesHugePages) {
            do { try HugePages.reserve(mebibytes: NetBackend.mebibytes + 64) } catch {
                note = "\(error): testpmd runs without"
                contestants.removeAll(where: \.usesHugePages)
            }
        }
        var comparison = Comparison(
            stand: stand, rounds: options.rounds ?? (options.quick ? 2 : 5),
            contestants: contestants, picksBest: onlyBest)
        comparison.add(NetLine.all.filter { $0.name.isChosen(by: lines, among: names) }, peers: [])
        if let note { comparison.say(note) }
        if Tool.find(NetBackend.testpmd) == nil, peers != ["none"] {
            comparison.say(
                "\(NetBackend.testpmd) is not installed (Debian package"
                    + " \(NetBackend.testpmdPackage)): left out")
        }
        let start = Date()
        comparison.run()
        let machine = Machine(stand, start: start)
        try options.write(comparison.raw, to: "results.json")
        let report = CompareReport(comparison, machine, .net)
        for (name, plot) in report.plots { try options.write(plot, to: name) }
        try options.write(report.text, to: "report.md")
        CompareProgress.say("done: \(options.out)/report.md")
    }

    private func contestants() throws -> [NetBackend] {
        var contestants: [NetBackend] = []
        if ringwayPoll != ["none"] {
            let program = try options.program("ringway-net")
            contestants = ringwayPoll.map {
                NetBackend(kind: .ringway(program: program, pollMicroseconds: Int($0)))
            }
        }
        guard peers != ["none"], Tool.find(NetBackend.testpmd) != nil else { return contestants }
        return contestants + Self.peers.filter { peers.contains($0.name) }.map(\.backend)
    }
}
