/// What the windows of one back-end at one distance come to.
struct Summary {
    let backend: String
    let distance: Distance
    let count: Int
    /// Requests or packets a second.
    let rate: Double
    let lowest: Double
    let highest: Double
    /// MiB/s or Gbit/s.
    let throughput: Double
    /// Microseconds; nil where nobody measured them.
    let p50: Double?
    let p99: Double?
    /// Packets that were lost, of all windows.
    let lost: Int
    /// Microseconds of the back-end's processor time for each; nil where nobody measured it.
    let cpu: Double?
    /// Resident memory of its own and huge pages; nil where nobody looked.
    let memoryKiB: Int?

    /// Nil where no window counts.
    init?(_ backend: String, _ distance: Distance, of windows: [Window]) {
        let mine = windows.filter {
            $0.backend == backend && $0.distance == distance && $0.counts
        }
        guard !mine.isEmpty else { return nil }
        self.backend = backend
        self.distance = distance
        count = mine.count
        let rates = mine.map(\.sample.rate)
        rate = median(rates)
        lowest = rates.min() ?? 0
        highest = rates.max() ?? 0
        throughput = median(mine.map(\.sample.throughput))
        let latencies = mine.compactMap(\.sample.latency)
        p50 = latencies.isEmpty ? nil : median(latencies.map(\.p50))
        p99 = latencies.isEmpty ? nil : median(latencies.map(\.p99))
        lost = mine.reduce(0) { $0 + $1.sample.lost }
        let costs = mine.compactMap(\.sample.cpuEach)
        cpu = costs.isEmpty ? nil : median(costs)
        let sizes = mine.compactMap(\.sample.backend?.memoryKiB)
        memoryKiB = sizes.isEmpty ? nil : Int(median(sizes))
    }
}

/// The middle value; between the two middle ones where there are two. 0 of none.
func median(_ values: [Double]) -> Double {
    guard !values.isEmpty else { return 0 }
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/// Our best configuration against the peers' best on one line, at one distance of the cores.
struct Contest {
    let distance: Distance
    let ours: Summary
    let peer: Summary
    /// Ringway as it is without options, where that is not `ours` and has windows enough.
    let defaults: Summary?
    /// Whether some configuration of a peer has too few windows here to be the best.
    let isPartial: Bool

    /// The name of Ringway without options of ours.
    static let ourDefault = "ringway"

    var ratio: Double { ours.rate / peer.rate }
    /// Of processor time for each.
    var cpuRatio: Double? { cpuRatio(of: ours) }

    func cpuRatio(of mine: Summary) -> Double? {
        guard let mine = mine.cpu, let theirs = peer.cpu, theirs > 0 else { return nil }
        return mine / theirs
    }

    /// Nil unless both sides have at least `least` windows at that distance.
    init?<Line>(_ line: LineResult<Line>, at distance: Distance, least: Int) {
        func known(_ names: [String]) -> [Summary] {
            names.compactMap { Summary($0, distance, of: line.windows) }
                .filter { $0.count >= least }
        }
        let peers = known(line.peers)
        let mine = known(line.ours)
        guard let ours = mine.max(by: { $0.rate < $1.rate }),
            let peer = peers.max(by: { $0.rate < $1.rate })
        else { return nil }
        self.distance = distance
        defaults = mine.first { $0.backend == Self.ourDefault && $0.backend != ours.backend }
        isPartial = peers.count < line.peers.count
        self.ours = ours
        self.peer = peer
    }
}

/// All that was measured of one line.
struct LineResult<Line: ComparedLine> {
    let line: Line
    /// Names of our configurations, and of the peers'.
    var ours: [String]
    var peers: [String]
    var windows: [Window] = []
    /// The short ones that picked the configurations.
    var qualifying: [Window] = []

    /// The configuration that did best, by medians at the distance that knows most of them.
    func best(of names: [String]) -> String? {
        let tables = Distance.allCases.map { distance in
            names.compactMap { Summary($0, distance, of: windows) }
        }
        guard let table = tables.max(by: { $0.count < $1.count }) else { return nil }
        return table.max { $0.rate < $1.rate }?.backend
    }

    /// Whether there is a distance at which each configuration has `least` windows.
    func hasCommonGround(_ least: Int) -> Bool {
        Distance.allCases.contains { distance in
            (ours + peers).allSatisfy { name in
                (Summary(name, distance, of: windows)?.count ?? 0) >= least
            }
        }
    }
}
