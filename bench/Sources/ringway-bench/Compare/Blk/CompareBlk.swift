import ArgumentParser
import Foundation

struct CompareBlk: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "blk",
        abstract: "ringway-blk and qemu-storage-daemon, each driven by `ringway-bench blk`.",
        discussion: """
            Lines: \(BlkLine.all.map(\.name).joined(separator: ", ")).
            A line's ratio is our best configuration's IOPS by the peers' best one's.
            """)

    @OptionGroup var options: CompareOptions

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("Lines to measure, by name or its beginning.", valueName: "name"))
    var lines: [String] = []

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "Peers' configurations, by name or its beginning, as qsd-io_uring; or none.",
            valueName: "name"))
    var peers: [String] = []

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "Ringway's configurations: default, or a number for --poll-us.", valueName: "poll"))
    var ringwayPoll: [String] = ["default", "1000"]

    @Option(
        help: ArgumentHelp(
            "Bytes of the files (default: 1G in /dev/shm, 2G on the disk).", valueName: "size"))
    var fileSize: ByteCount?

    @Option(
        help: ArgumentHelp("The folder for the file on a disk (default: --out).", valueName: "dir"))
    var dir: String?

    @Flag(help: "A short round first; then only the best configuration of each side and line.")
    var onlyBest = false

    func validate() throws {
        for poll in ringwayPoll where poll != "default" && Int(poll) == nil {
            throw ValidationError("--ringway-poll \(poll): default, or a number of microseconds")
        }
        for name in lines where !BlkLine.all.contains(where: { $0.name.hasPrefix(name) }) {
            throw ValidationError(
                "--lines \(name): there is none; they are "
                    + BlkLine.all.map(\.name).joined(separator: " "))
        }
    }

    func run() throws {
        Leftovers.clearOnSignals()
        defer { Leftovers.clear() }
        let token = "ringway-compare-\(getpid()).img"
        let disk = URL(fileURLWithPath: dir ?? options.out).standardized.path
        let paths = StorePaths(
            sharedMemoryFile: "/dev/shm/\(token)", diskFile: "\(disk)/\(token)")
        let stand = try options.stand()
        let chosen = BlkLine.all.filter {
            $0.name.isChosen(by: lines, among: BlkLine.all.map(\.name))
        }
        try makeFiles(for: chosen, paths)

        var comparison = Comparison(
            stand: stand, rounds: options.rounds ?? (options.quick ? 2 : 5),
            contestants: try contestants(paths), picksBest: onlyBest
        ) { line in
            // What a store needs before its line.
            guard line.store.isOnDisk else { return }
            try? TestFile.settle(paths.diskFile)
            if line.store == .cachedFile { try? TestFile.read(paths.diskFile) }
        }
        comparison.add(chosen, peers: peers)
        if comparison.contestants.allSatisfy({ $0.isOurs }), peers != ["none"] {
            comparison.say(
                "\(BlkBackend.storageDaemon) is not installed (Debian package"
                    + " \(BlkBackend.storageDaemonPackage)): left out")
        }
        let start = Date()
        comparison.run()
        let machine = Machine(stand, start: start)
        try options.write(comparison.raw, to: "results.json")
        let report = CompareReport(
            comparison, machine, .blk, morePlots: CompareReport.latencyPlots)
        for (name, plot) in report.plots { try options.write(plot, to: name) }
        try options.write(report.text, to: "report.md")
        CompareProgress.say("done: \(options.out)/report.md")
    }

    private func contestants(_ paths: StorePaths) throws -> [BlkBackend] {
        let program = try options.program("ringway-blk")
        let ours = ringwayPoll.prefix(options.quick ? 1 : ringwayPoll.count).map {
            BlkBackend(
                kind: .ringway(program: program, pollMicroseconds: Int($0)), paths: paths)
        }
        guard peers != ["none"], Tool.find(BlkBackend.storageDaemon) != nil else { return ours }
        let theirs = BlkBackend.peers(few: options.quick && peers.isEmpty, paths)
        return ours + theirs
    }

    private func makeFiles(for lines: [BlkLine], _ paths: StorePaths) throws {
        if lines.contains(where: { $0.store == .sharedMemoryFile }) {
            CompareProgress.say("filling \(paths.sharedMemoryFile)")
            let size =
                fileSize.map { Int(clamping: $0.bytes) } ?? (options.quick ? 64 << 20 : 1 << 30)
            try TestFile.make(at: paths.sharedMemoryFile, byteCount: size)
        }
        if lines.contains(where: \.store.isOnDisk) {
            CompareProgress.say("filling \(paths.diskFile)")
            let size =
                fileSize.map { Int(clamping: $0.bytes) } ?? (options.quick ? 64 << 20 : 2 << 30)
            try TestFile.make(at: paths.diskFile, byteCount: size)
        }
    }
}

extension String {
    /// Whether one of `words` is this name; or begins it, if it is the whole of no other name.
    /// Everything is chosen where there are no words.
    func isChosen(by words: [String], among names: [String]) -> Bool {
        words.isEmpty
            || words.contains { $0 == self || (hasPrefix($0) && !names.contains($0)) }
    }
}
