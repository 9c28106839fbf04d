import ArgumentParser
import Foundation

/// Who is compared by which lines: network cards, or switches.
struct NetArena {
    let terms: ReportTerms
    let lines: [NetLine]
    /// All configurations of the peer.
    let peers: [NetBackend]
    /// The peer's program, and the Debian package that brings it.
    let peerProgram: String
    let peerPackage: String

    static let net = NetArena(
        terms: .net, lines: NetLine.net, peers: [false, true].map { .testpmd(hugePages: $0) },
        peerProgram: Testpmd.program, peerPackage: Testpmd.package)
    static let `switch` = NetArena(
        terms: .switch, lines: NetLine.switch,
        peers: [false, true].map { .openVSwitch(hugePages: $0) },
        peerProgram: OpenVSwitch.program, peerPackage: OpenVSwitch.package)

    var lineNames: [String] { lines.map(\.name) }
    var peerNames: [String] { peers.map { $0.name(on: lines[0]) } }
    /// For a command's help.
    var lineList: String { "Lines: \(lineNames.joined(separator: ", "))." }
}

/// What the comparisons of network back-ends are told.
struct NetCompareOptions: ParsableArguments {
    @OptionGroup var options: CompareOptions

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("Lines to measure, by name or its beginning.", valueName: "name"))
    var lines: [String] = []

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "The peer's configurations (default: without huge pages, and on them); or none.",
            valueName: "name"))
    var peers: [String] = []

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
    }

    func check(_ arena: NetArena) throws {
        for peer in peers where peer != "none" && !arena.peerNames.contains(peer) {
            throw ValidationError(
                "--peers \(peer): there is none; they are "
                    + arena.peerNames.joined(separator: " "))
        }
        for name in lines where !arena.lineNames.contains(where: { $0.hasPrefix(name) }) {
            throw ValidationError(
                "--lines \(name): there is none; they are "
                    + arena.lineNames.joined(separator: " "))
        }
    }

    func run(_ arena: NetArena) throws {
        Leftovers.clearOnSignals()
        defer { Leftovers.clear() }
        let stand = try options.stand()
        var (contestants, notes) = try contestants(arena)
        if let most = contestants.compactMap(\.hugeMebibytes).max() {
            do { try HugePages.reserve(mebibytes: most) } catch {
                notes.append("\(error): \(arena.peerProgram) runs without")
                contestants.removeAll { $0.hugeMebibytes != nil }
            }
        }
        var comparison = Comparison(
            stand: stand, rounds: options.rounds ?? (options.quick ? 2 : 5),
            contestants: contestants, picksBest: onlyBest)
        var chosen = arena.lines.filter { $0.name.isChosen(by: lines, among: arena.lineNames) }
        let isDriven = chosen.contains { $0.load.driver == .testpmd }
        if isDriven, Tool.find(Testpmd.program) == nil {
            notes.append(
                "\(Testpmd.program) is not installed (Debian package \(Testpmd.package)):"
                    + " no lines by its driver")
            chosen.removeAll { $0.load.driver == .testpmd }
        }
        comparison.add(chosen, peers: [])
        for note in notes { comparison.say(note) }
        let start = Date()
        comparison.run()
        let machine = Machine(stand, start: start)
        try options.write(comparison.raw, to: "results.json")
        let report = CompareReport(comparison, machine, arena.terms)
        for (name, plot) in report.plots { try options.write(plot, to: name) }
        try options.write(report.text, to: "report.md")
        CompareProgress.say("done: \(options.out)/report.md")
    }

    /// Those that are wanted and installed, and what is to be said of others.
    private func contestants(_ arena: NetArena) throws -> ([NetBackend], notes: [String]) {
        var contestants: [NetBackend] = []
        if ringwayPoll != ["none"] {
            let program = try options.program(arena.terms.program)
            contestants = ringwayPoll.map {
                .ringway(program: program, pollMicroseconds: Int($0))
            }
        }
        guard peers != ["none"] else { return (contestants, []) }
        guard Tool.find(arena.peerProgram) != nil else {
            let note = "\(arena.peerProgram) is not installed (Debian package \(arena.peerPackage))"
            return (contestants, [note + ": left out"])
        }
        contestants += arena.peers.filter {
            peers.isEmpty || peers.contains($0.name(on: arena.lines[0]))
        }
        return (contestants, [])
    }
}
