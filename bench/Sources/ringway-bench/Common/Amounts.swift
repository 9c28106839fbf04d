import ArgumentParser
import Foundation

/// A number of bytes as people write it: 512, 4k, 128K, 1M, 2G, 1T.
struct ByteCount: ExpressibleByArgument, Sendable {
    let bytes: UInt64

    init?(argument: String) {
        let shifts: [Character: UInt64] = ["k": 10, "m": 20, "g": 30, "t": 40]
        let shift = argument.last.flatMap { shifts[Character($0.lowercased())] }
        guard let number = UInt64(shift == nil ? argument[...] : argument.dropLast()) else {
            return nil
        }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: 1 << (shift ?? 0))
        guard !overflow else { return nil }
        self.bytes = bytes
    }

    init(_ bytes: UInt64) { self.bytes = bytes }

    /// The shortest way to write it.
    var defaultValueDescription: String { text }

    var text: String {
        for (name, shift) in [("T", 40), ("G", 30), ("M", 20), ("k", 10)] as [(String, UInt64)]
        where bytes >= 1 << shift && bytes % (1 << shift) == 0 {
            return "\(bytes >> shift)\(name)"
        }
        return "\(bytes)"
    }
}

extension Double {
    /// For tables: three digits that count, no exponent.
    var short: String {
        self >= 100
            ? String(format: "%.0f", self)
            : self >= 10 ? String(format: "%.1f", self) : String(format: "%.2f", self)
    }

    func rounded(digits: Int) -> Double {
        let scale = (0..<digits).reduce(1.0) { scale, _ in scale * 10 }
        return (self * scale).rounded() / scale
    }
}

/// A failure that is told in one line.
struct BenchError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
