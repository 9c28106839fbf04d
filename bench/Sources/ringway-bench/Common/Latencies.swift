import Histogram

/// Latencies in nanoseconds, to three digits, up to a minute.
struct Latencies: Sendable {
    private static let longest: UInt64 = 60_000_000_000
    private var histogram = Histogram<UInt64>(
        lowestDiscernibleValue: 1, highestTrackableValue: longest,
        numberOfSignificantValueDigits: .three)

    var count: UInt64 { histogram.totalCount }

    mutating func record(_ nanoseconds: UInt64) {
        _ = histogram.record(min(nanoseconds, Self.longest))
    }

    mutating func add(_ other: Latencies) { histogram.add(other.histogram) }
    mutating func reset() { histogram.reset() }

    var summary: Summary? {
        guard count > 0 else { return nil }
        func microseconds(_ percentile: Double) -> Double {
            let nanoseconds = Double(histogram.valueAtPercentile(percentile))
            return (nanoseconds / 1000).rounded(digits: 3)
        }
        return Summary(
            avg: (histogram.mean / 1000).rounded(digits: 3), p50: microseconds(50),
            p99: microseconds(99), p999: microseconds(99.9))
    }

    /// In microseconds.
    struct Summary: Codable, Sendable {
        var avg: Double
        var p50: Double
        var p99: Double
        var p999: Double
    }
}
