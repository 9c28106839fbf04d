import GuestMemory
import Host
import Logging
import VirtioDevice

/// A device's workers, each started when the first of its queues is needed and kept from one session
/// to the next. Queue n belongs to worker n modulo their number.
final class WorkerPool {
    let device: any VirtioDevice
    let trouble: Trouble
    private let start: (Int) throws(SystemError) -> Worker
    private var workers: [Worker?]

    /// The workers will run engines of type `Engine`; nobody else need know which.
    init<Engine: QueueEngine & ~Copyable>(
        _ engine: Engine.Type, _ device: Engine.Device, _ options: WorkerOptions,
        _ trouble: Trouble, _ logger: Logger
    ) {
        self.device = device
        self.trouble = trouble
        let count = options.workers(for: device.queueCount)
        let queues = (device.queueCount + count - 1) / count
        start = { (number) throws(SystemError) in
            let cpu = options.cpus.isEmpty ? nil : options.cpus[number % options.cpus.count]
            return try Worker(
                Engine.self, device, number: number, queues: queues, cpu: cpu, options, trouble,
                logger)
        }
        workers = Array(repeating: nil, count: count)
        options.effectivePlacement.announce(logger)
    }

    /// Gives queue `queue`'s worker an order and waits for its answer; nil where `interruption`
    /// became readable first.
    func ask(
        _ queue: Int, _ order: consuming QueueOrder, interruption: Int32
    ) throws(SystemError) -> WorkerAnswer? {
        let number = queue % workers.count
        let worker = try worker(number)
        let answer = worker.ask(
            .queue(queue / workers.count, order), interruption: interruption)
        if case .broken = answer {
            // Its thread could not begin; the next order tries again.
            worker.leave()
            workers[number] = nil
        }
        return answer
    }

    /// Gives every worker there is the guest's memory as it is now, and waits until none uses what
    /// was removed. Nil where `interruption` became readable first.
    func spread(_ map: GuestMap, removed: [Mapping], interruption: Int32) -> WorkerAnswer? {
        for worker in workers.compactMap({ $0 }) {
            let answer = worker.ask(
                .setMemory(map, removed: removed), interruption: interruption)
            guard case .done = answer else { return answer }
        }
        return .done
    }

    private func worker(_ number: Int) throws(SystemError) -> Worker {
        if let worker = workers[number] { return worker }
        let worker = try start(number)
        workers[number] = worker
        return worker
    }

    /// Stops every queue and ends the threads, within `milliseconds`: what is in flight by then was
    /// not acknowledged, and ends with the process.
    func end(milliseconds: Int) {
        let deadline = Clock.nanoseconds() + UInt64(milliseconds) * 1_000_000
        for worker in workers.compactMap({ $0 }) {
            let now = Clock.nanoseconds()
            let left = now < deadline ? (deadline - now) / 1_000_000 : 0
            // A thread that hangs in its store is left behind: joining it would hang us too.
            switch worker.ask(.stopAll, milliseconds: Int32(left)) {
            case .done, .broken: worker.leave()
            default: continue
            }
        }
        workers = []
    }
}
