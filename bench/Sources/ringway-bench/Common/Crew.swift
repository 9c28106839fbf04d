import Host
import VhostUserFrontend

/// The workers of a run, a thread each, watched over until the last has finished.
final class Crew<Result: Sendable> {
    private let workers: [BenchWorker<Result>]
    private var threads: [RunningThread] = []
    private let news: EventFD
    private let connection: FrontendConnection
    private let pid: Int32?
    private let progress: ProgressLine

    /// Starts a worker on each processor.
    /// - Parameters:
    ///   - pid: the back-end's process, to be looked at.
    ///   - work: what the worker of a number does.
    init(
        on cpus: [Int32], _ connection: FrontendConnection, pid: Int32?, _ progress: ProgressLine,
        _ work: @escaping @Sendable (Int, BenchWorker<Result>) throws(FrontendError) -> Result?
    ) throws {
        let news = try EventFD()
        let raw = news.descriptor.raw
        workers = try cpus.map { _ in try BenchWorker(news: raw) }
        self.news = news
        self.connection = connection
        self.pid = pid
        self.progress = progress
        for (number, (worker, cpu)) in zip(workers, cpus).enumerated() {
            threads.append(
                try RunningThread("bench \(number)", cpus: [cpu]) {
                    worker.run { worker throws(FrontendError) in try work(number, worker) }
                })
        }
    }

    /// Whoever still waits, waits no more.
    func end() {
        for worker in workers { worker.abort() }
        for thread in threads { thread.join() }
        progress.clear()
    }

    /// What the queues' memory is, by their number, as soon as all are made.
    func places() throws -> [(Int, RingPlace)] {
        try wait(saying: "making the queues") { if case .placed = $0 { true } else { false } }
        return workers.flatMap { worker -> [(Int, RingPlace)] in
            guard case .placed(let places) = worker.current else { return [] }
            return places.sorted { $0.key < $1.key }
        }
    }

    /// The queues are started: lets all make ready, and waits for it.
    func makeReady(saying text: String) throws {
        workers.forEach { $0.proceed() }
        try wait(saying: text) { if case .ready = $0 { true } else { false } }
    }

    /// The window: how far things were at its beginning, after the warm-up, and at its end.
    /// - Parameter text: of what came back in a second, for the progress line.
    func measure(
        warmup: Double, seconds: Double, _ text: (_ perSecond: Double) -> String
    ) throws -> (before: Sample, after: Sample) {
        let begin = Clock.nanoseconds()
        let from = begin + UInt64(warmup * 1e9)
        let until = from + UInt64(seconds * 1e9)
        workers.forEach { $0.proceed(at: begin) }
        var before = sample()
        var last = before
        var next = begin + 1_000_000_000
        var isWarm = false
        while true {
            let now = Clock.nanoseconds()
            guard now < until else { break }
            if !isWarm, now >= from {
                isWarm = true
                before = sample()
            }
            if now >= next {
                let sample = Sample(completed: completed, usage: nil)
                let rate =
                    Double(sample.completed - last.completed) * 1e9
                    / Double(sample.time - last.time)
                let passed = (Double(now) - Double(from)) / 1e9
                progress.show(
                    (passed < 0 ? "warming up" : "\(passed.short) s") + ": " + text(rate))
                last = sample
                next += 1_000_000_000
            }
            try pause(until: min(until, next, isWarm ? .max : from))
        }
        return (before, sample())
    }

    /// What each worker has found, as soon as all have finished.
    func results(saying text: String) throws -> [Result] {
        try wait(saying: text) { if case .finished = $0 { true } else { false } }
        return workers.compactMap {
            guard case .finished(let result) = $0.current else { return nil }
            return result
        }
    }

    private var completed: UInt64 {
        workers.reduce(0) { $0 + $1.completed.load(ordering: .relaxed) }
    }

    private func sample() -> Sample {
        // The count last: what the look at /proc takes is not without requests.
        let usage = pid.flatMap { ProcessUsage(pid: $0) }
        return Sample(completed: completed, usage: usage)
    }

    /// Until `time` or a worker's news; throws where one has failed or the back-end is gone.
    private func pause(until time: UInt64) throws {
        for case .failed(let text) in workers.map(\.current) { throw BenchError(text) }
        if connection.isClosed { throw FrontendError.disconnected }
        let now = Clock.nanoseconds()
        guard now < time else { return }
        var set = PollSet()
        set.add(news.descriptor.raw)
        if set.wait(nanoseconds: min(time - now, 1_000_000_000)) > 0 { news.drain() }
    }

    /// - Parameter text: shown where it takes more than a second.
    private func wait(
        saying text: String, _ isThere: (BenchWorker<Result>.State) -> Bool
    ) throws {
        var next = Clock.nanoseconds() + 1_000_000_000
        while !workers.map(\.current).allSatisfy(isThere) {
            try pause(until: next)
            guard Clock.nanoseconds() >= next else { continue }
            progress.show("\(text): \(completed) so far")
            next += 1_000_000_000
        }
    }
}

/// How far things are at one time.
struct Sample: Sendable {
    let time = Clock.nanoseconds()
    let completed: UInt64
    /// Of the back-end; nil where nobody looked, or nobody can.
    let usage: ProcessUsage?
}

/// What the back-end used between two samples, and its memory after them.
struct BackendShare: Sendable {
    let pid: Int32
    let memory: ProcessMemory
    let voluntarySwitches: UInt64
    let involuntarySwitches: UInt64
    /// Of processor time for each that came back; nil where none did.
    let nanosecondsEach: Double?

    /// Nil where it could not be looked at.
    init?(_ pid: Int32?, _ before: Sample, _ after: Sample) {
        guard let pid, let old = before.usage, let new = after.usage,
            let memory = ProcessMemory(pid: pid)
        else { return nil }
        self.pid = pid
        self.memory = memory
        // A thread that has ended takes its count along.
        func grown(_ count: KeyPath<ProcessUsage, UInt64>) -> UInt64 {
            new[keyPath: count] - min(old[keyPath: count], new[keyPath: count])
        }
        voluntarySwitches = grown(\.voluntarySwitches)
        involuntarySwitches = grown(\.involuntarySwitches)
        let count = after.completed - before.completed
        guard count > 0, new.cpuNanoseconds >= old.cpuNanoseconds else {
            nanosecondsEach = nil
            return
        }
        nanosecondsEach = Double(new.cpuNanoseconds - old.cpuNanoseconds) / Double(count)
    }
}
