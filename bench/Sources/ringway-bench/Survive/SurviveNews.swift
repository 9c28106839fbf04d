import Host

/// A line for whoever drives the load: what has happened, and how things stand since the start.
struct SurviveNews: Codable {
    enum Event: String, Codable {
        /// Every block is written, and the load begins.
        case ready
        /// Another back-end serves.
        case back
        /// Every block is read.
        case checked
        /// There is no more to come.
        case end
    }
    var event: Event
    var acknowledged: UInt64
    var blocksChecked: UInt64
    /// Back-ends that went.
    var losses: Int
    /// Milliseconds: of the longest request, and without a back-end, this time and the longest.
    var longestMs: Double
    var outageMs: Double
    var longestOutageMs: Double
    var tracksInflight: Bool
    /// Things that must not be.
    var lost: Int
    var torn: Int
    var foreign: Int
    var duplicated: Int
    var hung: Int
    var failed: Int
    /// The first few of them.
    var findings: [String]

    func tell() throws { StandardOutput.write(try ReportText.json(self)) }
}
