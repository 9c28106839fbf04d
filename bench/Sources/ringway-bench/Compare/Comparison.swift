import Foundation

/// Rounds of windows over lines and back-ends.
struct Comparison<Peer: Contestant> {
    let stand: TestStand
    let rounds: Int
    let contestants: [Peer]
    /// Whether a short round picks one configuration of each side for a line.
    let picksBest: Bool
    /// Called before a line is measured.
    private let prepare: (Peer.Line) -> Void
    private(set) var results: [LineResult<Peer.Line>] = []
    /// What a reader must know of this run.
    private(set) var notes: [String] = []

    init(
        stand: TestStand, rounds: Int, contestants: [Peer], picksBest: Bool,
        prepare: @escaping (Peer.Line) -> Void = { _ in }
    ) {
        self.stand = stand
        self.rounds = rounds
        self.contestants = contestants
        self.picksBest = picksBest
        self.prepare = prepare
    }

    /// Adds lines, with the peers whose names begin with one of `names`; with all, if there is none.
    mutating func add(_ lines: [Peer.Line], peers names: [String]) {
        for line in lines {
            let able = contestants.filter { $0.serves(line) }
            let all = able.filter { !$0.isOurs }.map { $0.name(on: line) }
            let peers = all.filter { $0.isChosen(by: names, among: all) }
            let ours = able.filter(\.isOurs).map { $0.name(on: line) }
            results.append(LineResult(line: line, ours: ours, peers: peers))
        }
    }

    /// results.json.
    var raw: RawWindows {
        RawWindows(
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
            prepare(results[index].line)
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
        var short = Comparison(
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
                $0.serves(line) && $0.name(on: line) == name
            })
        else { return progress.expect(-1) }
        for attempt in 0..<3 {
            do {
                let window = try backend.window(
                    line, on: stand, round: round, seconds: seconds)
                results[index].windows.append(window)
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
}

/// results.json of a comparison.
struct RawWindows: Encodable {
    let windows: [Window]
    /// Short ones, which only picked configurations.
    let qualifying: [Window]
}
