import Foundation

/// Counts instructions by running this program under valgrind.
struct Callgrind {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private let valgrind: URL

    /// Nil where valgrind is not installed.
    init?() {
        guard let found = Self.program("valgrind") else { return nil }
        valgrind = found
    }

    private static func program(_ name: String) -> URL? {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        return path.split(separator: ":")
            .map { URL(fileURLWithPath: String($0)).appendingPathComponent(name) }
            .first { FileManager.default.isExecutableFile(atPath: $0.path) }
    }

    /// Instructions a chain for each of `RingCase.all`.
    func count(apart: Bool) throws -> [RingCounts] {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("ringway-bench-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        // Valgrind 3.19 gives up on Swift's debugging information, so it gets a copy without.
        let copy = folder.appendingPathComponent("ringway-bench")
        guard let strip = Self.program("strip") else {
            throw Failure(description: "strip is not installed (Debian has it in binutils)")
        }
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        try run(strip, ["-g", "-o", copy.path, own], log: folder)
        let profile = folder.appendingPathComponent("profile")
        try run(
            valgrind,
            ["--tool=callgrind", "--callgrind-out-file=\(profile.path)"]
                + RingCount.functions.map { "--toggle-collect=\($0)" }
                + ["--dump-after=\(RingCount.mark)", copy.path, "ring-count"]
                + (apart ? ["--apart"] : []),
            log: folder)
        // Four marks a case, of which the second and the fourth end what counts.
        return try RingCase.all.indices.map { index in
            RingCounts(
                swift: try total("\(profile.path).\(index * 4 + 2)"),
                c: try total("\(profile.path).\(index * 4 + 4)"))
        }
    }

    /// The instructions in one dump, by the chain.
    private func total(_ path: String) throws -> Double {
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let line = text.split(separator: "\n").last { $0.hasPrefix("totals: ") }
        guard let line, let count = Double(line.dropFirst("totals: ".count)), count > 0 else {
            throw Failure(description: "valgrind counted nothing where it should have: \(path)")
        }
        return count / Double(RingCount.chains)
    }

    private func run(_ program: URL, _ arguments: [String], log folder: URL) throws {
        let log = folder.appendingPathComponent("log")
        try Data().write(to: log)
        let process = Process()
        process.executableURL = program
        process.arguments = arguments
        process.standardOutput = try FileHandle(forWritingTo: log)
        process.standardError = process.standardOutput
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            let text = try String(contentsOf: log, encoding: .utf8)
            throw Failure(description: "\(program.lastPathComponent) failed:\n\(text)")
        }
    }
}
