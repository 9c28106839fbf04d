import ArgumentParser
import Foundation

struct Compare: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measures Ringway against its peers, or what it costs itself; writes a report.",
        discussion: """
            Every window is measured alone on the machine: the back-end on processor 1, the driver on \
            processor 0. The rounds go through all back-ends in turn. Windows are labelled by the \
            distance of the two processors, and only like is compared with like.
            """,
        subcommands: [CompareBlk.self, CompareNet.self, CompareSwitch.self, CompareCost.self])
}

/// What every comparison is told.
struct CompareOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The folder for report.md, plots, results.json.", valueName: "dir"))
    var out: String

    @Option(help: ArgumentHelp("Seconds of each window (default: 2).", valueName: "s"))
    var seconds: Double?

    @Option(
        help: ArgumentHelp("Windows of each back-end on each line (default: 5).", valueName: "n"))
    var rounds: Int?

    @Flag(help: "A try of a minute or two: few, short windows. Its figures say little.")
    var quick = false

    @Option(
        help: ArgumentHelp(
            "Ringway's program (default: the one built beside this).", valueName: "path"))
    var ringway: String?

    @Option(help: ArgumentHelp("The program that drives (default: this one).", valueName: "path"))
    var generator: String?

    func validate() throws {
        if let seconds, !(0.05...600).contains(seconds) {
            throw ValidationError("--seconds \(seconds): 0.05 to 600")
        }
        if let rounds, !(1...1000).contains(rounds) {
            throw ValidationError("--rounds \(rounds): 1 to 1000")
        }
    }

    /// Where both programs are, and where they run.
    func stand() throws -> TestStand {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("ringway-compare-\(getpid())").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        Leftovers.keepInMind(path: folder)
        try FileManager.default.createDirectory(atPath: out, withIntermediateDirectories: true)
        let generator = try generator ?? Self.ownPath()
        var stand = TestStand(generator: generator, folder: folder)
        stand.seconds = seconds ?? (quick ? 0.4 : 2)
        stand.warmup = quick ? 0.2 : 0.5
        guard ProcessInfo.processInfo.processorCount >= 2 else {
            throw BenchError("two processors are needed, one for each side")
        }
        return stand
    }

    /// Ringway's program as told, as built in the package around this one, or as in PATH.
    func program(_ name: String) throws -> String {
        if let ringway {
            guard FileManager.default.isExecutableFile(atPath: ringway) else {
                throw ValidationError("--ringway \(ringway): there is no such program")
            }
            return URL(fileURLWithPath: ringway).standardized.path
        }
        var folder = URL(fileURLWithPath: try Self.ownPath()).deletingLastPathComponent()
        while folder.path != "/" {
            folder.deleteLastPathComponent()
            let built = folder.appendingPathComponent(".build/release/\(name)").path
            if FileManager.default.isExecutableFile(atPath: built) { return built }
        }
        guard let path = Tool.find(name) else {
            throw ValidationError(
                "no \(name): swift build -c release --product \(name), or --ringway PATH")
        }
        return path
    }

    private static func ownPath() throws -> String {
        try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    }

    /// Writes a file of the report.
    func write(_ text: String, to name: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: out).appendingPathComponent(name))
    }

    func write(_ value: some Encodable, to name: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        try encoder.encode(value)
            .write(to: URL(fileURLWithPath: out).appendingPathComponent(name))
    }
}

/// Other programs of the machine.
enum Tool {
    /// The program's path, if it is one, or PATH knows it.
    static func find(_ name: String) -> String? {
        guard !name.hasPrefix("/") else {
            return FileManager.default.isExecutableFile(atPath: name) ? name : nil
        }
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        return folders.map { "\($0)/\(name)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// The first line that a program prints; empty where it prints none.
    static func firstLine(_ words: [String]) -> String {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: find(words[0]) ?? words[0])
        process.arguments = Array(words.dropFirst())
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return "" }
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self).split(separator: "\n").first.map(String.init)
            ?? ""
    }
}
