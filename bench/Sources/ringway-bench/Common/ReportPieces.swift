import Foundation

/// Nanoseconds of a cache line's way from one processor to another and back.
struct RoundTrip: Codable {
    var before: Double?
    var after: Double?
}

/// The back-end's process, as reports have it.
struct BackendFigures: Codable {
    var pid: Int32
    var rssKib: UInt64
    var rssPrivateKib: UInt64
    var hugePrivateKib: UInt64
    var contextSwitches: UInt64
    var contextSwitchesInvoluntary: UInt64

    init(_ share: BackendShare) {
        pid = share.pid
        rssKib = share.memory.residentKiB
        rssPrivateKib = share.memory.ownKiB
        hugePrivateKib = share.memory.ownHugeKiB
        contextSwitches = share.voluntarySwitches
        contextSwitchesInvoluntary = share.involuntarySwitches
    }

    var text: String {
        "\(rssPrivateKib) KiB of its own resident,"
            + (hugePrivateKib > 0 ? " \(hugePrivateKib) KiB of huge pages," : "")
            + " \(contextSwitches + contextSwitchesInvoluntary) context switches (process \(pid))"
    }
}

/// A result as one JSON object with keys in snake case, or as lines for people.
enum ReportText {
    static func json(_ report: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys]
        return String(decoding: try encoder.encode(report), as: UTF8.self) + "\n"
    }

    /// - Parameter rows: a name and a text; rows without a text are left out.
    static func table(_ head: String, _ rows: [(String, String?)]) -> String {
        let lines = rows.compactMap { name, text in
            text.map { "  " + name.padding(toLength: 18, withPad: " ", startingAt: 0) + $0 }
        }
        return ([head] + lines).joined(separator: "\n") + "\n"
    }
}

extension Latencies.Summary {
    var text: String {
        "avg \(avg.short)   p50 \(p50.short)   p99 \(p99.short)   p99.9 \(p999.short)"
    }
}

extension RoundTrip {
    var text: String? {
        guard let before, let after else { return nil }
        return "\(before.short) before, \(after.short) after, a round trip"
    }
}
