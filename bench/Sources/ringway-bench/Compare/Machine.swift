import Foundation

/// The machine and the programs, as the report names them.
struct Machine {
    let facts: [(String, String)]

    init(_ stand: TestStand, start: Date) {
        let cpuInfo = Self.text("/proc/cpuinfo").split(separator: "\n")
        let model = cpuInfo.first { $0.hasPrefix("model name") }?.split(separator: ":").last
        let memory = Self.text("/proc/meminfo").split(separator: " ").compactMap { Int($0) }.first
        let release =
            Self.text("/etc/os-release").split(separator: "\n")
            .first { $0.hasPrefix("PRETTY_NAME=") }?.dropFirst(12) ?? "unknown"
        let grouped = Self.text("/proc/sys/kernel/sched_autogroup_enabled").hasPrefix("1")
        let probe = try? Child(
            ["true"], cpu: stand.driverCPU, output: "/dev/null", errors: "/dev/null")
        _ = probe?.wait(atMost: 5)
        let raised = probe?.isRaised == true ? "raised to -20" : "not raised, for lack of privilege"
        facts = [
            ("date", "\(Self.day(start)) to \(Self.day(Date()))"),
            ("processor", (model ?? "unknown").trimmingCharacters(in: .whitespaces)),
            ("processors", "\(ProcessInfo.processInfo.processorCount)"),
            ("memory", "\((memory ?? 0) >> 20) GiB"),
            ("kernel", Tool.firstLine(["uname", "-sr"])),
            ("system", release.replacingOccurrences(of: "\"", with: "")),
            (
                "scheduler",
                grouped ? "sched_autogroup is on; both sides' groups are \(raised)" : "plain"
            ),
            (
                "placement",
                "driver on processor \(stand.driverCPU), back-end on \(stand.backendCPU)"
            ),
            ("windows", "\(stand.seconds) s each, after \(stand.warmup) s of the same load"),
        ]
    }

    /// The commit that a program in its own source tree was built from, as far as can be told.
    static func version(ofBuilt program: String) -> String {
        let folder = (program as NSString).deletingLastPathComponent
        let commit = Tool.firstLine(["git", "-C", folder, "describe", "--always", "--dirty"])
        return commit.isEmpty ? "no version known" : "commit \(commit)"
    }

    static func day(_ date: Date) -> String {
        let formatter = ISO8601DateFormatter()
        return formatter.string(from: date)
    }

    private static func text(_ path: String) -> String {
        String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
    }
}

/// A Markdown table.
struct MarkdownTable {
    let head: [String]
    private(set) var rows: [[String]] = []

    init(_ head: String...) { self.head = head }

    mutating func add(_ row: String...) { rows.append(row) }

    /// Numbers to the right: a column is one of numbers if no cell of it has a letter.
    var text: String {
        let rules = head.indices.map { column in
            rows.contains { $0[column].contains(where: \.isLetter) } ? "---" : "---:"
        }
        return ([head, rules] + rows).map { "| " + $0.joined(separator: " | ") + " |" }
            .joined(separator: "\n") + "\n"
    }
}
