/// Processors as people list them: "0-3,6".
public struct CPUList: Equatable, Sendable {
    public let cpus: [Int32]

    /// Nil where the text is no such list, or names a processor past 1023.
    public init?(_ text: String) {
        var cpus: [Int32] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false)
                .map { UInt16($0) }
            guard (1...2).contains(ends.count), let first = ends[0],
                let last = ends[ends.count - 1],
                first <= last, last < 1024
            else { return nil }
            cpus += (first...last).map(Int32.init)
        }
        self.cpus = cpus
    }
}
