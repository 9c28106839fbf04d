import Host
import VhostUserFrontend

/// What a worker turns to again and again: some queues under load.
protocol BenchLane: AnyObject {
    /// The queues whose calls are worth waking up for.
    var awaited: [DriverQueue] { get }
    /// Takes back what is finished and offers anew. Returns how many came back, and sets `now` to the
    /// time when they did.
    func turn(_ now: inout UInt64) throws(FrontendError) -> Int
    /// When something can go that waits for nothing but its time; nil where there is none.
    var due: UInt64? { get }
    /// What has not come back though it should, in words; nil where nothing is due to.
    var missing: String? { get }
}

/// The lanes' turns, one after the other, for as long as a phase lasts.
struct Shift<Lane: BenchLane, Result: Sendable> {
    private let worker: BenchWorker<Result>
    private let lanes: [Lane]
    /// Sleep until called instead of looking without end.
    private let interrupts: Bool
    private var calls = PollSet()
    private var total: UInt64 = 0
    private var lastProgress: UInt64
    private var spins = 0
    private var patience = Self.usualPatience
    private static var usualPatience: UInt64 { 10_000_000_000 }

    init(_ worker: BenchWorker<Result>, _ lanes: [Lane], interrupts: Bool) {
        self.worker = worker
        self.lanes = lanes
        self.interrupts = interrupts
        lastProgress = Clock.nanoseconds()
        for queue in lanes.flatMap(\.awaited) { calls.add(queue.call.descriptor.raw) }
    }

    /// The window: until `until`, with `begin` called once `from` has come. Returns the nanoseconds
    /// from then on.
    mutating func load(
        from: UInt64, until: UInt64, _ begin: () -> Void
    ) throws(FrontendError) -> UInt64 {
        var now = Clock.nanoseconds()
        lastProgress = now
        var started: UInt64 = 0
        while now < until {
            try turn(&now, until: until)
            if started == 0, now >= from {
                started = now
                begin()
            }
        }
        return max(1, now - started)
    }

    /// As long as `isOn`.
    /// - Parameter patience: nanoseconds for which nothing need come back.
    mutating func run(
        patience: UInt64? = nil, while isOn: ([Lane]) -> Bool
    ) throws(FrontendError) {
        self.patience = patience ?? Self.usualPatience
        defer { self.patience = Self.usualPatience }
        var now = Clock.nanoseconds()
        lastProgress = now
        while isOn(lanes) { try turn(&now, until: .max) }
    }

    private mutating func turn(_ now: inout UInt64, until: UInt64) throws(FrontendError) {
        var count = 0
        for lane in lanes { count += try lane.turn(&now) }
        if count > 0 {
            total += UInt64(count)
            worker.completed.store(total, ordering: .relaxed)
            lastProgress = now
            spins = 0
            return
        }
        spins += 1
        if interrupts {
            sleep(&now, until: until)
        } else if spins & 63 == 0 {
            now = Clock.nanoseconds()
        }
        guard spins & 63 == 0 || interrupts else { return }
        guard !worker.isAborted.load(ordering: .relaxed) else { throw .disconnected }
        guard now > lastProgress + patience else { return }
        for lane in lanes {
            guard let missing = lane.missing else { continue }
            throw .device("nothing came back for \(patience / 1_000_000_000) s; \(missing)")
        }
        lastProgress = now
    }

    /// Until something comes back, something is due, or the phase ends.
    private mutating func sleep(_ now: inout UInt64, until: UInt64) {
        var isThere = false
        for lane in lanes {
            for queue in lane.awaited where queue.armCall() { isThere = true }
        }
        now = Clock.nanoseconds()
        if !isThere {
            var wake = min(until, now + 100_000_000)
            for lane in lanes { if let due = lane.due { wake = min(wake, max(now, due)) } }
            if wake > now { _ = calls.wait(nanoseconds: wake - now) }
            now = Clock.nanoseconds()
        }
        for queue in lanes.flatMap(\.awaited) {
            queue.call.drain()
            queue.suppressCalls()
        }
    }
}
