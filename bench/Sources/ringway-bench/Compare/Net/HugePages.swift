import Foundation

/// Huge pages of 2 MiB from the host, given back at the end.
enum HugePages {
    private static let path = "/proc/sys/vm/nr_hugepages"

    /// Sees that `mebibytes` of them are free.
    /// - Throws: ``BenchError`` where they can't be had.
    static func reserve(mebibytes: Int) throws {
        let wanted = mebibytes / 2
        let free = number("HugePages_Free:")
        guard free < wanted else { return }
        let before = number("HugePages_Total:")
        Leftovers.keepInMind { set(before) }
        set(before + wanted - free)
        guard number("HugePages_Free:") >= wanted else {
            throw BenchError("\(wanted) huge pages are not to be had (\(path), as root)")
        }
    }

    private static func set(_ count: Int) {
        guard let file = FileHandle(forWritingAtPath: path) else { return }
        try? file.write(contentsOf: Data("\(count)\n".utf8))
        try? file.close()
    }

    /// Of /proc/meminfo; 0 where it does not say.
    private static func number(_ name: String) -> Int {
        let text = FileManager.default.contents(atPath: "/proc/meminfo") ?? Data()
        let line = String(decoding: text, as: UTF8.self).split(separator: "\n")
            .first { $0.hasPrefix(name) }
        return line?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    }
}
