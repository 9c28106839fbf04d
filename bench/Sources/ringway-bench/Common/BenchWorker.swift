import Host
import Synchronization
import VhostUserFrontend

/// A thread with some of the queues, and what it and the one that started it tell each other.
final class BenchWorker<Result: Sendable>: Sendable {
    enum State: Sendable {
        case starting
        /// Its queues are there, by their number, and not started.
        case placed([Int: RingPlace])
        /// Ready for the window.
        case ready
        case finished(Result)
        case failed(String)
    }

    private let news: Int32
    private let go: EventFD
    private let state = Mutex<State>(.starting)
    private let begin = Atomic<UInt64>(0)
    let isAborted = Atomic<Bool>(false)
    /// What came back so far, in all phases.
    let completed = Atomic<UInt64>(0)

    /// - Parameter news: the eventfd that is signalled at each new state.
    init(news: Int32) throws {
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

    /// Does the work, and tells how it ended. The work gives nil where it was aborted.
    func run(
        _ work: (BenchWorker) throws(FrontendError) -> Result?
    ) {
        do throws(FrontendError) {
            if let result = try work(self) { set(.finished(result)) }
        } catch { set(.failed("\(error)")) }
    }

    /// Tells where the queues are, and waits until they are started. False where there is no more to
    /// do.
    func place(_ places: [Int: RingPlace]) -> Bool {
        set(.placed(places))
        return wait()
    }

    /// Waits for the window, and returns when it begins; nil where there is no more to do.
    func awaitWindow() -> UInt64? {
        set(.ready)
        return wait() ? begin.load(ordering: .acquiring) : nil
    }

    private func wait() -> Bool {
        while !go.wait(milliseconds: -1) {}
        return !isAborted.load(ordering: .acquiring)
    }
}

/// A thread that is waited for once.
final class RunningThread: Sendable {
    private let thread: Mutex<Thread?>

    init(_ name: String, cpus: [Int32], _ body: @escaping @Sendable () -> Void) throws {
        thread = Mutex(try Thread(name: name, cpus: cpus, body: body))
    }

    func join() { if let thread = thread.withLock({ $0.take() }) { thread.join() } }
}
