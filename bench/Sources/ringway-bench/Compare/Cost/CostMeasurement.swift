import Foundation

/// What ringway-blk costs, section by section.
struct CostMeasurement {
    /// A load on ringway-blk in one configuration.
    struct Case {
        let section: CompareCost.Section
        let name: String
        var pollMicroseconds: Int?
        var queueCount: Int?
        let load: BlkLoad
    }

    /// What a back-end used while nobody asked anything of it.
    struct Idle: Codable {
        let poll: String
        let isAttached: Bool
        let seconds: Double
        let used: BackendUse
    }

    /// What back-ends used together while they were idle beside a busy one.
    struct Others: Codable {
        let count: Int
        let seconds: Double
        let used: [BackendUse]
    }

    let stand: TestStand
    let program: String
    let rounds: Int
    let idleSeconds: Double
    let isQuick: Bool
    let sections: Set<CompareCost.Section>
    private(set) var windows: [Window] = []
    private(set) var idle: [Idle] = []
    private(set) var others: [Others] = []
    private(set) var notes: [String] = []

    init(
        stand: TestStand, program: String, rounds: Int, idleSeconds: Double, isQuick: Bool,
        sections: Set<CompareCost.Section>
    ) {
        self.stand = stand
        self.program = program
        self.rounds = rounds
        self.idleSeconds = idleSeconds
        self.isQuick = isQuick
        self.sections = sections
    }

    static let polls: [Int?] = [0, nil, 50, 1000]
    static let queueCounts = [1, 2, 4, 8, 16]
    static let depths = [1, 32]
    var idleCounts: [Int] { isQuick ? [0, 1, 8] : [0, 1, 8, 64] }

    static func pollName(_ poll: Int?) -> String { poll.map { "--poll-us \($0)" } ?? "default" }

    static func queuesName(_ count: Int, perQueue: Bool) -> String {
        "QD32 in \(perQueue ? "each" : "all"), queues: \(count)"
    }

    static func idleName(_ count: Int, depth: Int) -> String {
        "QD\(depth), idle queues: \(count)"
    }

    static func othersName(_ count: Int, depth: Int, stopped: Bool) -> String {
        "QD\(depth), others: \(count)\(stopped ? ", stopped" : "")"
    }

    /// The cases of the sections whose windows need no other process.
    var cases: [Case] {
        var cases: [Case] = []
        for poll in Self.polls {
            let name = Self.pollName(poll)
            let light = BlkLoad(rate: 1000, usesInterrupts: true)
            cases += [
                Case(
                    section: .polling, name: "\(name), light", pollMicroseconds: poll, load: light),
                Case(
                    section: .polling, name: "\(name), full, driver polls",
                    pollMicroseconds: poll, load: BlkLoad()),
                Case(
                    section: .polling, name: "\(name), full, driver sleeps",
                    pollMicroseconds: poll, load: BlkLoad(usesInterrupts: true)),
            ]
        }
        for perQueue in [false, true] {
            for count in Self.queueCounts {
                cases.append(
                    Case(
                        section: .queues, name: Self.queuesName(count, perQueue: perQueue),
                        queueCount: count,
                        load: BlkLoad(depth: perQueue ? 32 : 32 / count, queues: count)))
            }
        }
        for depth in Self.depths {
            for count in idleCounts {
                cases.append(
                    Case(
                        section: .idleQueues, name: Self.idleName(count, depth: depth),
                        queueCount: count + 1, load: BlkLoad(depth: depth, idleQueues: count)))
            }
        }
        return cases.filter { sections.contains($0.section) }
    }

    mutating func run() {
        let idleRuns = sections.contains(.idle) ? 2 : 0
        let cases = self.cases
        let beside = sections.contains(.others) ? (idleCounts.count * 2 - 1) * Self.depths.count : 0
        let progress = CompareProgress(
            total: (cases.count + beside) * rounds + idleRuns,
            secondsExpected: stand.seconds + stand.warmup + 1.3)
        if idleRuns > 0 { for poll in [0, nil] { measureIdle(poll, progress) } }
        for section in CompareCost.Section.allCases {
            let mine = cases.filter { $0.section == section }
            for round in 0..<rounds {
                for offset in mine.indices {
                    measure(mine[(round + offset) % mine.count], round, progress)
                }
            }
        }
        if sections.contains(.others) {
            for count in idleCounts { measureBeside(count, progress) }
        }
    }

    private mutating func measure(_ one: Case, _ round: Int, _ progress: CompareProgress) {
        let backend = BlkBackend(
            kind: .ringway(program: program, pollMicroseconds: one.pollMicroseconds),
            queueCount: one.queueCount)
        attempt(one.section, one.name, progress) { stand in
            let window = try stand.window(
                one.section.rawValue, .memory, one.load, backend, round: round)
            return window.named(one.name)
        }
    }

    /// One window; again, twice at most, where the cores moved.
    private mutating func attempt(
        _ section: CompareCost.Section, _ name: String, _ progress: CompareProgress,
        _ measure: (TestStand) throws -> Window
    ) {
        for attempt in 0..<3 {
            do {
                let window = try measure(stand)
                windows.append(window)
                let text = "\(section.rawValue): \(name): \(window.outline)"
                if window.counts { return progress.step(text) }
                CompareProgress.say(text + (attempt < 2 ? "; again" : "; given up"))
            } catch {
                let note = "\(section.rawValue): \(name): \(error)"
                if !notes.contains(note) { notes.append(note) }
                CompareProgress.say(note)
                break
            }
        }
        progress.expect(-1)
    }

    /// A load, then nothing: first with the driver still attached, but stopped; then without it.
    private mutating func measureIdle(_ poll: Int?, _ progress: CompareProgress) {
        let backend = BlkBackend(kind: .ringway(program: program, pollMicroseconds: poll))
        let name = Self.pollName(poll)
        do {
            let running = try stand.start(backend, .memory)
            defer { running.child.end() }
            let driver = try stand.attachAndStop(BlkLoad(), running, loadSeconds: 2)
            try watch(name, running, isAttached: true)
            driver.child.kill()
            Thread.sleep(forTimeInterval: 0.5)
            try watch(name, running, isAttached: false)
            progress.step("idle: \(name)")
        } catch {
            notes.append("idle: \(name): \(error)")
            CompareProgress.say("idle: \(name): \(error)")
            progress.expect(-1)
        }
    }

    private mutating func watch(
        _ name: String, _ running: TestStand.Running, isAttached: Bool
    ) throws {
        guard let before = BackendUse(of: running.child.pid) else {
            throw BenchError("ringway-blk has ended")
        }
        let start = Date()
        Thread.sleep(forTimeInterval: idleSeconds)
        guard let after = BackendUse(of: running.child.pid) else {
            throw BenchError("ringway-blk has ended")
        }
        idle.append(
            Idle(
                poll: name, isAttached: isAttached, seconds: Date().timeIntervalSince(start),
                used: after.since(before)))
    }

    /// A busy ringway-blk beside idle ones, each with a driver attached that asks nothing; and, in
    /// turn with it, beside the same ones stopped, which are then as good as not there.
    private mutating func measureBeside(_ count: Int, _ progress: CompareProgress) {
        let backend = BlkBackend(kind: .ringway(program: program, pollMicroseconds: nil))
        var idlers: [(TestStand.Running, TestStand.Driving)] = []
        defer {
            for (running, driver) in idlers {
                driver.child.kill()
                running.child.end()
            }
        }
        do {
            for slot in 1..<(count + 1) {
                let running = try stand.start(backend, .memory, slot: slot)
                let load = BlkLoad(depth: 1, rate: 100)
                let driver = try stand.attachAndStop(load, running, loadSeconds: 0.1, slot: slot)
                idlers.append((running, driver))
            }
        } catch {
            notes.append("others: \(count): \(error)")
            CompareProgress.say("others: \(count): \(error)")
            return
        }
        let before = idlers.compactMap { BackendUse(of: $0.0.child.pid) }
        let start = Date()
        for round in 0..<rounds {
            for depth in Self.depths {
                for stopped in count == 0 ? [false] : [false, true] {
                    for (running, _) in idlers where stopped { running.child.suspend() }
                    defer { for (running, _) in idlers { running.child.resume() } }
                    let name = Self.othersName(count, depth: depth, stopped: stopped)
                    attempt(.others, name, progress) { stand in
                        let window = try stand.window(
                            "others", .memory, BlkLoad(depth: depth), backend, round: round)
                        return window.named(name)
                    }
                }
            }
        }
        let after = idlers.compactMap { BackendUse(of: $0.0.child.pid) }
        others.append(
            Others(
                count: count, seconds: Date().timeIntervalSince(start),
                used: zip(after, before).map { $0.since($1) }))
    }
}

extension Window {
    /// The same window under another name than its back-end's.
    func named(_ name: String) -> Window {
        Window(
            line: line, backend: name, round: round, date: date, load: load, distance: distance,
            sample: sample)
    }
}

extension TestStand {
    /// Attaches a driver, and stops it for good after `loadSeconds` of its load.
    func attachAndStop(
        _ load: BlkLoad, _ running: Running, loadSeconds: Double, slot: Int = 0
    ) throws -> Driving {
        let before = BackendUse(of: running.child.pid) ?? BackendUse()
        let driver = try startDriver(
            load, on: running, seconds: 3600, warmup: 0, slot: slot)
        // Much more than a session's start: many wake-ups, or work without any sleep.
        let deadline = Date(timeIntervalSinceNow: 20)
        while let used = BackendUse(of: running.child.pid)?.since(before),
            used.voluntarySwitches < 40, used.cpuNanoseconds < 30_000_000
        {
            guard driver.child.isAlive, Date() < deadline else {
                driver.child.kill()
                throw BenchError("no load comes: \(Self.lastLine(of: driver.log))")
            }
            Thread.sleep(forTimeInterval: 0.02)
        }
        Thread.sleep(forTimeInterval: loadSeconds)
        driver.child.suspend()
        // What is in flight ends.
        Thread.sleep(forTimeInterval: 0.3)
        return driver
    }
}
