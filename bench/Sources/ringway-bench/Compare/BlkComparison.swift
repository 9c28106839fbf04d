import Foundation

/// Rounds of windows over lines and back-ends.
struct BlkComparison {
    let stand: TestStand
    let rounds: Int
    let contestants: [Backend]
    /// Whether a short round picks one configuration of each side for a line.
    let picksBest: Bool
    private(set) var results: [LineResult] = []
    /// What a reader must know of this run.
    private(set) var notes: [String] = []

    init(stand: TestStand, rounds: Int, contestants: [Backend], picksBest: Bool) {
        self.stand = stand
        self.rounds = rounds
        self.contestants = contestants
        self.picksBest = picksBest
    }

    /// Adds lines, with the peers whose names begin with one of `names`; with all, if there is none.
    mutating func add(_ lines: [Line], peers names: [String]) {
        for line in lines {
            let able = contestants.filter { $0.serves(line.store) }
            let all = able.filter { !$0.isOurs }.map { $0.name(on: line.store) }
            let peers = all.filter { $0.isChosen(by: names, among: all) }
            let ours = able.filter(\.isOurs).map { $0.name(on: line.store) }
            results.append(LineResult(line: line, ours: ours, peers: peers))
        }
    }

    /// results.json.
    struct Raw: Encodable {
        let windows: [Window]
        /// Short ones, which only picked configurations.
        let qualifying: [Window]
    }

    var raw: Raw {
        Raw(
            windows: results.flatMap(\.windows), qualifying: results.flatMap(\.qualifying))
    }

    mutating func say(_ note: String) {
        notes.append(note)
        CompareProgress.say(note)
    }

    mutating func run() {
        let each = stand.seconds + stand.warmup + 0.7
        let count = results.reduce(0) { $0 + ($1.ours.count + $1.peers.count) }
        let perLine = picksBest ? results.reduce(0) { $0 + 1 + min(1, $1.peers.count) } : count
        let progress = CompareProgress(
            total: perLine * rounds + (picksBest ? count * 2 : 0), secondsExpected: each)
        for index in results.indices {
            prepare(results[index].line.store)
            if picksBest { qualify(index, progress) }
            measure(index, progress)
        }
    }

    /// The rounds of a line; then as many again, at most, while no distance knows all sides.
    private mutating func measure(_ index: Int, _ progress: CompareProgress) {
        let least = min(2, rounds)
        for round in 0..<(2 * rounds) {
            let names = results[index].ours + results[index].peers
            if round >= rounds {
                if results[index].peers.isEmpty || results[index].hasCommonGround(least) { break }
                progress.expect(names.count)
            }
            // Each starts a round in its turn, so that none is always the first.
            for offset in names.indices {
                measure(names[(round + offset) % names.count], index, round, progress)
            }
        }
    }

    /// Leaves each side the configuration that is best in two short rounds.
    private mutating func qualify(_ index: Int, _ progress: CompareProgress) {
        var short = BlkComparison(
            stand: stand, rounds: 2, contestants: contestants, picksBest: false)
        short.results = [results[index]]
        let seconds = min(0.7, stand.seconds)
        for round in 0..<2 {
            for name in results[index].ours + results[index].peers {
                short.measure(name, 0, round, progress, seconds: seconds)
            }
        }
        notes += short.notes
        let tried = short.results[0]
        if let ours = tried.best(of: tried.ours) { results[index].ours = [ours] }
        if let peer = tried.best(of: tried.peers) { results[index].peers = [peer] }
        results[index].qualifying = tried.windows
    }

    /// One window; again, twice at most, where the cores moved or a request failed.
    private mutating func measure(
        _ name: String, _ index: Int, _ round: Int, _ progress: CompareProgress,
        seconds: Double? = nil
    ) {
        let line = results[index].line
        let key = "\(line.name) \(name)"
        guard results[index].ours.contains(name) || results[index].peers.contains(name),
            let backend = contestants.first(where: {
                $0.serves(line.store) && $0.name(on: line.store) == name
            })
        else { return progress.expect(-1) }
        for attempt in 0..<3 {
            do {
                let window = try stand.window(
                    line.name, line.store, line.load, backend, round: round, seconds: seconds)
                results[index].windows.append(window)
                if line.store.isOnDisk, line.load.pattern == .randwrite {
                    try TestFile.settle(stand.paths.diskFile)
                }
                let text = "\(key), round \(round + 1): \(window.outline)"
                if window.counts { return progress.step(text) }
                CompareProgress.say(text + (attempt < 2 ? "; again" : "; given up"))
            } catch {
                say("\(key): \(error)")
                if attempt == 0 { continue }
                results[index].ours.removeAll { $0 == name }
                results[index].peers.removeAll { $0 == name }
                say("\(key): left out of this line")
                break
            }
        }
        progress.expect(-1)
    }

    /// What a store needs before its line.
    private func prepare(_ store: Store) {
        guard store.isOnDisk else { return }
        try? TestFile.settle(stand.paths.diskFile)
        if store == .cachedFile { try? TestFile.read(stand.paths.diskFile) }
    }
}

extension Window {
    /// The window in a few words, for who watches.
    var outline: String {
        let trips = [sample.roundTrip?.before, sample.roundTrip?.after].compactMap { $0 }
        let trip = trips.isEmpty ? "" : ", " + trips.map(tenth).joined(separator: " then ") + " ns"
        let errors = sample.errors > 0 ? ", \(sample.errors) requests failed" : ""
        return "\(Int(sample.iops / 1000))k IOPS (\(distance?.rawValue ?? "the cores moved")"
            + "\(trip))\(errors)"
    }
}
