import Foundation

/// What a process has used so far, all its threads together.
struct ProcessUsage: Codable {
    /// On a processor, from the threads' schedstat: exact, but without threads that have ended.
    var scheduledNanoseconds: UInt64 = 0
    /// User and system time of /proc/PID/stat, in steps of a hundredth of a second.
    var statNanoseconds: UInt64 = 0
    var voluntarySwitches: UInt64 = 0
    var involuntarySwitches: UInt64 = 0
    /// Resident memory of its own: without shared memory, which is the guest's.
    var residentKiB: Int = 0

    init() {}

    /// Nil where there is no such process.
    init?(of pid: pid_t) {
        guard let stat = Self.text("/proc/\(pid)/stat") else { return nil }
        // The name, in parentheses, may hold spaces.
        let fields = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ")
        if fields.count > 13, let user = UInt64(fields[12]), let system = UInt64(fields[13]) {
            statNanoseconds = (user + system) * 10_000_000
        }
        let tasks =
            (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? []
        for task in tasks {
            let folder = "/proc/\(pid)/task/\(task)"
            let first = Self.text("\(folder)/schedstat")?.split(separator: " ").first
            scheduledNanoseconds += first.flatMap { UInt64($0) } ?? 0
            guard let status = Self.text("\(folder)/status") else { continue }
            voluntarySwitches += Self.number("voluntary_ctxt_switches:", in: status)
            involuntarySwitches += Self.number("nonvoluntary_ctxt_switches:", in: status)
        }
        let status = Self.text("/proc/\(pid)/status") ?? ""
        residentKiB = Int(Self.number("RssAnon:", in: status) + Self.number("RssFile:", in: status))
    }

    /// What was used between `start` and now. Resident memory is that of now.
    func since(_ start: ProcessUsage) -> ProcessUsage {
        func difference(_ path: KeyPath<ProcessUsage, UInt64>) -> UInt64 {
            self[keyPath: path] - min(self[keyPath: path], start[keyPath: path])
        }
        var used = self
        used.scheduledNanoseconds = difference(\.scheduledNanoseconds)
        used.statNanoseconds = difference(\.statNanoseconds)
        used.voluntarySwitches = difference(\.voluntarySwitches)
        used.involuntarySwitches = difference(\.involuntarySwitches)
        return used
    }

    private static func text(_ path: String) -> String? {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
    }

    private static func number(_ key: String, in status: String) -> UInt64 {
        for line in status.split(separator: "\n") where line.hasPrefix(key) {
            let words = line.dropFirst(key.count).split(whereSeparator: \.isWhitespace)
            return words.first.flatMap { UInt64($0) } ?? 0
        }
        return 0
    }
}
