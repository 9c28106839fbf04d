import Host
import Logging
import VirtioDevice

/// A device's workers, one a queue, each started when its queue is first needed and kept from one
/// session to the next.
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
        start = { (index) throws(SystemError) in
            try Worker(Engine.self, device, index: index, options, trouble, logger)
        }
        workers = Array(repeating: nil, count: device.queueCount)
    }

    func worker(_ index: Int) throws(SystemError) -> Worker {
        if let worker = workers[index] { return worker }
        let worker = try start(index)
        workers[index] = worker
        return worker
    }

    /// Lets go of a worker whose thread could not begin; the next start tries again.
    func forget(_ index: Int) {
        workers[index]?.leave()
        workers[index] = nil
    }

    /// Stops every queue and ends the threads, within `milliseconds`: what is in flight by then was
    /// not acknowledged, and ends with the process.
    func end(milliseconds: Int) {
        let deadline = Clock.nanoseconds() + UInt64(milliseconds) * 1_000_000
        for worker in workers.compactMap({ $0 }) {
            let now = Clock.nanoseconds()
            let left = now < deadline ? (deadline - now) / 1_000_000 : 0
            // A thread that hangs in its store is left behind: joining it would hang us too.
            switch worker.ask(.stop, milliseconds: Int32(left)) {
            case .stopped, .broken: worker.leave()
            default: continue
            }
        }
        workers = []
    }
}
