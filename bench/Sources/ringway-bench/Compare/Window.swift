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
    init?(_ roundTrip: DriverSample.RoundTrip?) {
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
struct Window: Codable {
    let line: String
    let backend: String
    let round: Int
    let date: Date
    let load: DriverLoad
    /// Nil where the cores moved meanwhile: such a window is kept, and counts for nothing.
    let distance: Distance?
    let sample: DriverSample

    /// Whether its figures count.
    var counts: Bool { distance != nil && sample.errors == 0 && sample.latency != nil }
}
