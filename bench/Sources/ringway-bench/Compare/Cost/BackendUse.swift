import Foundation

/// What a back-end has used, so far or between two times.
struct BackendUse: Codable {
    /// On a processor, by the scheduler's account: exact, but without threads that have ended.
    var cpuNanoseconds: UInt64 = 0
    /// User and system time of /proc/PID/stat, in steps of a clock tick, usually 10 ms.
    var statNanoseconds: UInt64 = 0
    var voluntarySwitches: UInt64 = 0
    var involuntarySwitches: UInt64 = 0
    /// Resident memory of its own: without shared memory, which is the guest's.
    var residentKiB: UInt64 = 0

    init() {}

    /// Nil where there is no such process.
    init?(of pid: pid_t) {
        guard let usage = ProcessUsage(pid: pid), let memory = ProcessMemory(pid: pid) else {
            return nil
        }
        cpuNanoseconds = usage.cpuNanoseconds
        voluntarySwitches = usage.voluntarySwitches
        involuntarySwitches = usage.involuntarySwitches
        residentKiB = memory.ownKiB
        guard let stat = FileManager.default.contents(atPath: "/proc/\(pid)/stat") else {
            return nil
        }
        // The name, in parentheses, may hold spaces.
        let fields = String(decoding: stat, as: UTF8.self).split(separator: ")").last?
            .split(separator: " ")
        if let fields, fields.count > 12, let user = UInt64(fields[11]),
            let system = UInt64(fields[12])
        {
            statNanoseconds = (user + system) * 1_000_000_000 / UInt64(sysconf(Int32(_SC_CLK_TCK)))
        }
    }

    /// What was used between `start` and now. Resident memory is that of now.
    func since(_ start: BackendUse) -> BackendUse {
        func difference(_ path: KeyPath<BackendUse, UInt64>) -> UInt64 {
            self[keyPath: path] - min(self[keyPath: path], start[keyPath: path])
        }
        var used = self
        used.cpuNanoseconds = difference(\.cpuNanoseconds)
        used.statNanoseconds = difference(\.statNanoseconds)
        used.voluntarySwitches = difference(\.voluntarySwitches)
        used.involuntarySwitches = difference(\.involuntarySwitches)
        return used
    }
}
