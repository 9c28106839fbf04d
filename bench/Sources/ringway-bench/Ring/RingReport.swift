import Foundation

/// Swift's and C's figures for one case, and Swift's as multiples of C's.
struct RingLine: Codable {
    struct Figures: Codable {
        /// Nanoseconds a chain.
        var ns: RingTime?
        /// Instructions a chain.
        var instructions: Double?
    }

    struct Ratio: Codable {
        var median: Double?
        var best: Double?
        var instructions: Double?
    }

    var ring: String
    var shape: String
    var batch: Int
    var swift = Figures()
    var c = Figures()
    var ratio = Ratio()

    init(_ ringCase: RingCase, _ times: RingRounds?) {
        ring = ringCase.form.rawValue
        shape = ringCase.shape.rawValue
        batch = ringCase.batch
        guard let times else { return }
        swift.ns = RingTime(times.swift)
        c.ns = RingTime(times.c)
        ratio.median = quotient(swift.ns?.median, c.ns?.median)
        ratio.best = quotient(swift.ns?.best, c.ns?.best)
    }

    mutating func count(swift swiftCount: Double, c cCount: Double) {
        swift.instructions = swiftCount
        c.instructions = cCount
        ratio.instructions = quotient(swiftCount, cCount)
    }

    private func quotient(_ one: Double?, _ other: Double?) -> Double? {
        guard let one, let other, other > 0 else { return nil }
        return one / other
    }

    var name: String { "\(ring) \(shape), batches of \(batch)" }
}

struct RingReport: Codable {
    var rounds: Int
    var dataIsApart: Bool
    var lines: [RingLine]

    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }

    func table() -> String {
        var rows = [
            [
                "ring", "shape", "batch", "ns Swift", "C", "ratio", "best Swift", "C", "ratio",
                "instr Swift", "C", "ratio",
            ]
        ]
        for line in lines {
            rows.append([
                line.ring, line.shape, "\(line.batch)",
                text(line.swift.ns?.median), text(line.c.ns?.median), text(line.ratio.median),
                text(line.swift.ns?.best), text(line.c.ns?.best), text(line.ratio.best),
                text(line.swift.instructions, 1), text(line.c.instructions, 1),
                text(line.ratio.instructions, 3),
            ])
        }
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        let lines = rows.map { row in
            zip(row, widths).enumerated().map { place, cell in
                let space = String(repeating: " ", count: cell.1 - cell.0.count)
                return place < 2 ? cell.0 + space : space + cell.0
            }.joined(separator: "  ")
        }
        return lines.joined(separator: "\n")
    }

    private func text(_ value: Double?, _ digits: Int = 2) -> String {
        guard let value else { return "-" }
        return value.formatted(
            .number.precision(.fractionLength(digits)).grouping(.never)
                .locale(Locale(identifier: "en_US_POSIX")))
    }
}
