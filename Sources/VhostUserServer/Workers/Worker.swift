import Host
import Logging
import Synchronization

/// How workers run.
public struct WorkerOptions: Sendable {
    /// How long a worker without work looks for some before it sleeps, in microseconds.
    public var pollMicroseconds: UInt32
    /// The processors that workers may use, handed out in turn; empty for any.
    public var cpus: [Int32]

    public var placement: Placement

    public init(
        pollMicroseconds: UInt32 = 0, cpus: [Int32] = [], placement: Placement = .automatic
    ) {
        self.pollMicroseconds = pollMicroseconds
        self.cpus = cpus
        self.placement = placement
    }
}

/// The control plane's end of one queue's thread.
final class Worker: Sendable {
    private let mailbox: WorkerMailbox
    private let thread: Mutex<Thread?>

    /// Starts the thread that will run queue `index` of `device` with engines of type `Engine`.
    init<Engine: QueueEngine & ~Copyable>(
        _ engine: Engine.Type, _ device: Engine.Device, index: Int, _ options: WorkerOptions,
        _ trouble: Trouble, _ logger: Logger
    ) throws(SystemError) {
        let mailbox = try WorkerMailbox(trouble)
        let cpus = options.cpus.isEmpty ? [] : [options.cpus[index % options.cpus.count]]
        let started = try Thread(name: "ringway q\(index)", cpus: cpus) {
            WorkerLoop<Engine>.run(device, index: index, options, mailbox, logger)
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
