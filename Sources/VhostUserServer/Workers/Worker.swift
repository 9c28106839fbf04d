import Host
import Logging
import Synchronization

/// How workers run.
public struct WorkerOptions: Sendable {
    /// How long a queue without work is watched at most before it is left to its kick, in
    /// microseconds; less where watching has not paid. 0 never watches.
    public var pollMicroseconds: UInt32
    /// The processors that workers may use, a worker each; empty for any.
    public var cpus: [Int32]
    /// Workers at most; nil for one a processor. A processor that is named has just one.
    public var count: Int?

    /// Which memory node they run on, where `cpus` names no processors.
    public var placement: Placement

    /// Long enough for a driver that polls, or one woken by our call, to come back.
    public static let defaultPollMicroseconds: UInt32 = 50

    public init(
        pollMicroseconds: UInt32 = WorkerOptions.defaultPollMicroseconds, cpus: [Int32] = [],
        count: Int? = nil, placement: Placement = .automatic
    ) {
        self.pollMicroseconds = pollMicroseconds
        self.cpus = cpus
        self.count = count
        self.placement = placement
    }

    /// Processors that are named say where their memory is.
    var effectivePlacement: Placement { cpus.isEmpty ? placement : .off }

    /// Workers for a device with this many queues: no more than can run at once.
    func workers(for queues: Int) -> Int {
        let most = cpus.isEmpty ? count ?? Processors.count : cpus.count
        return max(1, min(queues, most))
    }
}

/// The control plane's end of a thread that runs queues.
final class Worker: Sendable {
    private let mailbox: WorkerMailbox
    private let thread: Mutex<Thread?>

    /// Starts the thread that will run up to `queues` queues of `device` with engines of type
    /// `Engine`, on the processor `cpu` if one is named.
    init<Engine: QueueEngine & ~Copyable>(
        _ engine: Engine.Type, _ device: Engine.Device, number: Int, queues: Int, depth: Int,
        cpu: Int32?,
        _ options: WorkerOptions, _ logger: Logger
    ) throws(SystemError) {
        let mailbox = try WorkerMailbox()
        let started = try Thread(name: "ringway w\(number)", cpus: cpu.map { [$0] } ?? []) {
            WorkerLoop<Engine>.run(
                device, queues: queues, depth: depth, options, mailbox, logger)
        }
        self.mailbox = mailbox
        thread = Mutex(started)
    }

    /// Gives an order and waits for its answer; nil where `interruption` became readable first.
    func ask(_ order: consuming WorkerOrder, interruption: Int32) -> WorkerAnswer? {
        mailbox.post(order)
        return mailbox.waitForAnswer(interruption: interruption)
    }

    /// Gives an order whose answer is waited for `milliseconds` at most.
    func ask(_ order: consuming WorkerOrder, milliseconds: Int32) -> WorkerAnswer? {
        mailbox.post(order)
        return mailbox.waitForAnswer(interruption: -1, milliseconds: milliseconds)
    }

    /// Ends the thread and waits for its end.
    func leave() {
        mailbox.post(.leave)
        if let thread = thread.withLock({ $0.take() }) { thread.join() }
    }
}
