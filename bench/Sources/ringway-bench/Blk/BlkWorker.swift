import Host
import Synchronization
import VhostUserFrontend

/// What a worker's queues did in the window.
struct BlkResult: Sendable {
    var operations: UInt64 = 0
    /// Operations a second.
    var rate = 0.0
    var latencies = Latencies()
    var errors: UInt64 = 0
    var firstError: String?
    var checked: UInt64 = 0
}

/// A thread with some of the queues, and what it and the one that started it tell each other.
final class BlkWorker: Sendable {
    enum State: Sendable {
        case starting
        /// Its queues are there, by their number, and not started.
        case placed([Int: RingPlace])
        /// Ready for the window.
        case ready
        case finished(BlkResult)
        case failed(String)
    }

    private let plan: BlkPlan
    private let span: BlkSpan
    private let number: Int
    private let shape: QueueShape
    private let ram: GuestRAM
    private let run: UInt32
    private let news: Int32
    private let go: EventFD
    private let state = Mutex<State>(.starting)
    private let begin = Atomic<UInt64>(0)
    private let isAborted = Atomic<Bool>(false)
    /// Requests that came back so far, of all phases.
    let completed = Atomic<UInt64>(0)

    /// - Parameter news: the eventfd that is signalled at each new state.
    init(
        _ plan: BlkPlan, _ span: BlkSpan, number: Int, _ shape: QueueShape, _ ram: GuestRAM,
        run: UInt32, news: Int32
    ) throws {
        self.plan = plan
        self.span = span
        self.number = number
        self.shape = shape
        self.ram = ram
        self.run = run
        self.news = news
        go = try EventFD()
    }

    var current: State { state.withLock { $0 } }

    /// Lets the worker go on, with the window to begin at `time` or no window yet.
    func proceed(at time: UInt64 = 0) {
        begin.store(time, ordering: .releasing)
        go.signal()
    }

    func abort() {
        isAborted.store(true, ordering: .releasing)
        go.signal()
    }

    private func set(_ new: State) {
        state.withLock { $0 = new }
        Notification.signal(news)
    }

    // On the thread.

    func work() {
        do throws(FrontendError) {
            var lanes: [BlkLane] = []
            var places: [Int: RingPlace] = [:]
            for index in stride(from: number, to: plan.queues, by: plan.threads) {
                let lane = try BlkLane(plan, span, index, shape, ram, run: run)
                lanes.append(lane)
                places[index] = lane.queue.place
            }
            set(.placed(places))
            guard wait() else { return }
            var shift = Shift(self, lanes)
            // What is read must have been written, to be known again.
            if plan.isVerified, plan.readPercent == 100 { try shift.run(through: .fill) }
            set(.ready)
            guard wait() else { return }
            let from = begin.load(ordering: .acquiring) + UInt64(plan.warmup * 1e9)
            var result = try shift.load(from: from, until: from + UInt64(plan.seconds * 1e9))
            if plan.isVerified { try shift.run(through: .check) }
            for lane in lanes {
                result.errors += lane.errors
                result.firstError = result.firstError ?? lane.firstError
                result.checked += lane.checked
            }
            set(.finished(result))
        } catch { set(.failed("\(error)")) }
    }

    private func wait() -> Bool {
        while !go.wait(milliseconds: -1) {}
        return !isAborted.load(ordering: .acquiring)
    }

    /// The lanes' turns, one after the other, for as long as a phase lasts.
    private struct Shift {
        private let worker: BlkWorker
        private let lanes: [BlkLane]
        private var calls = PollSet()
        private var total: UInt64 = 0
        private var lastProgress: UInt64 = 0
        private var spins = 0
        private static let patience: UInt64 = 10_000_000_000

        init(_ worker: BlkWorker, _ lanes: [BlkLane]) {
            self.worker = worker
            self.lanes = lanes
            for lane in lanes { calls.add(lane.queue.call.descriptor.raw) }
        }

        /// The window, and then an end to what is in flight.
        mutating func load(
            from: UInt64, until: UInt64
        ) throws(FrontendError) -> BlkResult {
            var now = Clock.nanoseconds()
            lastProgress = now
            var started: UInt64 = 0
            for lane in lanes { lane.job = .load }
            while now < until {
                try turn(&now, until: until)
                if started == 0, now >= from {
                    started = now
                    for lane in lanes { lane.startCounting() }
                }
            }
            var result = BlkResult()
            for lane in lanes {
                lane.stopCounting()
                lane.job = .rest
                result.operations += lane.operations
                result.latencies.add(lane.latencies)
            }
            result.rate = Double(result.operations) * 1e9 / Double(max(1, now - started))
            try drain()
            return result
        }

        /// Every block of a fill or a check.
        mutating func run(through job: BlkLane.Job) throws(FrontendError) {
            var now = Clock.nanoseconds()
            lastProgress = now
            for lane in lanes { lane.job = job }
            while !lanes.allSatisfy(\.isThrough) { try turn(&now, until: .max) }
            for lane in lanes { lane.job = .rest }
        }

        private mutating func drain() throws(FrontendError) {
            var now = Clock.nanoseconds()
            while lanes.contains(where: { $0.queue.inFlight > 0 }) {
                try turn(&now, until: .max)
            }
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
            if worker.plan.interrupts {
                sleep(&now, until: until)
            } else if spins & 63 == 0 {
                now = Clock.nanoseconds()
            }
            guard spins & 63 == 0 || worker.plan.interrupts else { return }
            guard !worker.isAborted.load(ordering: .relaxed) else { throw .disconnected }
            guard now > lastProgress + Self.patience else { return }
            let out = lanes.reduce(0) { $0 + $1.queue.inFlight }
            guard out == 0 else {
                throw .device("nothing came back for 10 s; \(out) requests are out")
            }
            lastProgress = now
        }

        /// Until something comes back, a request is due, or the phase ends.
        private mutating func sleep(_ now: inout UInt64, until: UInt64) {
            var isThere = false
            for lane in lanes where lane.queue.armCall() { isThere = true }
            now = Clock.nanoseconds()
            if !isThere {
                var wake = min(until, now + 100_000_000)
                for lane in lanes {
                    if let due = lane.due { wake = min(wake, max(now, due)) }
                }
                if wake > now { _ = calls.wait(nanoseconds: wake - now) }
                now = Clock.nanoseconds()
            }
            for lane in lanes {
                lane.queue.call.drain()
                lane.queue.suppressCalls()
            }
        }
    }
}
