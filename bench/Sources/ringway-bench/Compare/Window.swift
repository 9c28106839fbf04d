import Foundation

/// How far apart the two cores were during a window. On a virtual machine they move by the second,
/// and polled results with them, by twice: only windows of one distance compare.
enum Distance: String, Codable, CaseIterable {
    case near, far
    /// The generator did not say.
    case unknown

    /// Its place among the colours of a plot.
    var color: Int { Self.allCases.firstIndex(of: self) ?? 0 }

    /// A round trip below this many nanoseconds is near.
    static let border = 150.0

    /// Nil where the cores moved within the window.
    init?(_ roundTrip: RoundTrip?) {
        guard let before = roundTrip?.before, let after = roundTrip?.after else {
            self = .unknown
            return
        }
        switch (before < Self.border, after < Self.border) {
        case (true, true): self = .near
        case (false, false): self = .far
        default: return nil
        }
    }
}

/// One measured window.
struct Window: Encodable {
    let line: String
    let backend: String
    let round: Int
    let date: Date
    let load: AnyLoad
    /// Nil where the cores moved meanwhile: such a window is kept, and counts for nothing.
    let distance: Distance?
    let sample: DriverSample

    /// Whether its figures count.
    var counts: Bool { distance != nil && sample.errors == 0 && sample.rate > 0 }
}

/// A load of any kind, to be written down.
struct AnyLoad: Encodable {
    let load: any DriverLoad

    func encode(to encoder: any Encoder) throws { try load.encode(to: encoder) }
}

extension Window {
    /// The window in a few words, for who watches.
    var outline: String {
        let trips = [sample.roundTrip?.before, sample.roundTrip?.after].compactMap { $0 }
        let trip = trips.isEmpty ? "" : ", " + trips.map(tenth).joined(separator: " then ") + " ns"
        let errors = sample.errors > 0 ? ", \(sample.errors) of them wrong" : ""
        let lost = sample.lost > 0 ? ", \(sample.lost) packets lost" : ""
        let rate =
            sample.isOfPackets
            ? "\(two(sample.rate / 1e6)) Mpps" : "\(Int(sample.rate / 1000))k IOPS"
        return "\(rate) (\(distance?.rawValue ?? "the cores moved")\(trip))\(errors)\(lost)"
    }
}
