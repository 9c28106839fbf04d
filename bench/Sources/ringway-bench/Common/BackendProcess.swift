import Foundation

/// What a process and its threads have used so far, from /proc.
struct ProcessUsage: Sendable {
    /// Time on processors, of all threads that live.
    var cpuNanoseconds: UInt64 = 0
    var voluntarySwitches: UInt64 = 0
    var involuntarySwitches: UInt64 = 0

    /// Nil where there is no such process, or it is not ours to look at.
    init?(pid: Int32) {
        let tasks = try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")
        guard let tasks else { return nil }
        for task in tasks {
            let folder = "/proc/\(pid)/task/\(task)"
            cpuNanoseconds += Self.cpuNanoseconds(folder)
            let status = Self.fields("\(folder)/status")
            voluntarySwitches += status["voluntary_ctxt_switches"] ?? 0
            involuntarySwitches += status["nonvoluntary_ctxt_switches"] ?? 0
        }
    }

    /// By the scheduler's own account; in clock ticks where the kernel keeps none.
    private static func cpuNanoseconds(_ folder: String) -> UInt64 {
        if let text = text("\(folder)/schedstat"),
            let first = text.split(separator: " ").first, let nanoseconds = UInt64(first)
        {
            return nanoseconds
        }
        // The name, in brackets, may hold anything; utime and stime are 12 and 13 fields past it.
        guard let text = text("\(folder)/stat"), let end = text.lastIndex(of: ")") else { return 0 }
        let fields = text[end...].split(separator: " ")
        guard fields.count > 13, let user = UInt64(fields[12]), let kernel = UInt64(fields[13])
        else { return 0 }
        return (user + kernel) * 1_000_000_000 / UInt64(sysconf(Int32(_SC_CLK_TCK)))
    }

    /// `name:   number ...` by line.
    private static func fields(_ path: String) -> [Substring: UInt64] {
        guard let text = text(path) else { return [:] }
        var fields: [Substring: UInt64] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(whereSeparator: { $0 == ":" || $0 == "\t" || $0 == " " })
            if parts.count > 1, let number = UInt64(parts[1]) { fields[parts[0]] = number }
        }
        return fields
    }

    private static func text(_ path: String) -> String? {
        try? String(contentsOfFile: path, encoding: .utf8)
    }
}
