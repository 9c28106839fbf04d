import GuestMemory
import Host
import Synchronization

/// By which any worker ends the session that is under way on a device.
final class Trouble: Sendable {
    let event: EventFD
    init() throws(SystemError) { event = try EventFD() }
}

/// Where orders and answers change hands: one order at a time, answered before the next.
final class WorkerMailbox: Sendable {
    /// Signalled with every order; the worker waits on it in its io_uring.
    let wake: EventFD
    /// Signalled with every answer.
    private let answered: EventFD
    private let order = Mutex<WorkerOrder?>(nil)
    /// The answer and the number of the order that it is for: one that was not waited for must not
    /// pass for the next one's.
    private let answer = Mutex<(WorkerAnswer, UInt64)?>(nil)
    private let orders = Atomic<UInt64>(0)
    private let current = Atomic<UInt64>(0)
    /// A cheap look for a worker that polls.
    private let isWaiting = Atomic<Bool>(false)

    init() throws(SystemError) {
        let wake = try EventFD()
        let answered = try EventFD()
        self.wake = wake
        self.answered = answered
    }

    // The control plane's side.

    func post(_ order: consuming WorkerOrder) {
        var slot: WorkerOrder? = consume order
        self.order.withLock {
            $0 = slot.take()
            orders.wrappingAdd(1, ordering: .relaxed)
        }
        isWaiting.store(true, ordering: .releasing)
        wake.signal()
    }

    /// Waits for the answer, or until `interruption` becomes readable: then nil, and the answer may
    /// still come.
    func waitForAnswer(interruption: Int32, milliseconds: Int32 = -1) -> WorkerAnswer? {
        while true {
            answered.drain()
            if let (answer, number) = answer.withLock({ $0.take() }),
                number == orders.load(ordering: .relaxed)
            {
                return answer
            }
            var set = PollSet()
            set.add(answered.descriptor.raw)
            let stop = set.add(interruption)
            guard set.wait(milliseconds: milliseconds) > 0, !set.isReady(stop) else { return nil }
        }
    }

    // The worker's side.

    var hasOrder: Bool { isWaiting.load(ordering: .acquiring) }

    /// Waits for the first order, which stays to be taken; gives the memory that it is about, if any.
    func waitForFirstMap() -> GuestMap? {
        _ = wake.wait(milliseconds: -1)
        return order.withLock { $0?.map }
    }

    func take() -> WorkerOrder? {
        isWaiting.store(false, ordering: .relaxed)
        wake.drain()
        return order.withLock {
            current.store(orders.load(ordering: .relaxed), ordering: .relaxed)
            return $0.take()
        }
    }

    /// Answers the order that was taken last.
    func reply(_ value: WorkerAnswer) {
        let number = current.load(ordering: .relaxed)
        answer.withLock { $0 = (value, number) }
        answered.signal()
    }
}
