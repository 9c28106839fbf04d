import Foundation

/// What a process keeps in memory, from /proc.
struct ProcessMemory: Sendable {
    /// All that is resident. Huge pages are not in it.
    private(set) var residentKiB: UInt64 = 0
    /// Resident and the process's own: without memory shared with others, a guest's above all. What
    /// nobody else maps is its own, by whatever call it was made.
    private(set) var ownKiB: UInt64 = 0
    /// Huge pages that nobody else maps.
    private(set) var ownHugeKiB: UInt64 = 0

    /// Nil where there is no such process, or it is not ours to look at.
    init?(pid: Int32) {
        guard
            let status = procText("/proc/\(pid)/status"),
            // Page by page: some milliseconds where there is much memory.
            let map = procText("/proc/\(pid)/smaps"), !map.isEmpty
        else { return nil }
        self.init(status: status, map: map)
    }

    /// - Parameters:
    ///   - status: /proc/PID/status.
    ///   - map: /proc/PID/smaps.
    init(status: String, map: String) {
        var isShared = false
        for line in map.split(separator: "\n") {
            let parts = line.split(separator: " ", omittingEmptySubsequences: true)
            guard let number = parts.dropFirst().first.flatMap({ UInt64($0) }),
                parts.last == "kB"
            else {
                // A mapping's first line; those of flags are no such thing.
                if parts.count > 4 { isShared = Self.isSharedMemory(parts) }
                continue
            }
            switch parts[0] {
            case "Private_Clean:", "Private_Dirty:": if isShared { ownKiB += number }
            case "Private_Hugetlb:": ownHugeKiB += number
            default: break
            }
        }
        for line in status.split(separator: "\n") {
            let parts = line.split(whereSeparator: { $0 == ":" || $0 == "\t" || $0 == " " })
            guard parts.count > 1, let number = UInt64(parts[1]) else { continue }
            switch parts[0] {
            case "VmRSS": residentKiB = number
            case "RssAnon", "RssFile": ownKiB += number
            default: break
            }
        }
    }

    /// Whether a mapping is of memory without a file on a disk, and shared with who maps it too:
    /// what /proc/PID/status counts as RssShmem.
    private static func isSharedMemory(_ line: [Substring]) -> Bool {
        guard line[1].hasSuffix("s"), line.count > 5 else { return false }
        return ["/memfd:", "/dev/shm/", "/dev/zero", "/SYSV"].contains { line[5].hasPrefix($0) }
    }
}
