import GuestMemory
import Host
import Logging
import VirtioDevice

/// The threads that run the queues of a device, or of several devices that pass things to each other.
/// Each is started when the first of its queues is needed, and kept from one session to the next.
///
/// Queues that work together form groups; the groups, numbered through all devices, are dealt out to
/// the workers in turn.
final class WorkerPool: Sendable {
    private let start: @Sendable (Int) throws(SystemError) -> Worker
    /// A control thread holds a worker's lock while it waits for an answer: one order at a time.
    private let workers: [Slot]
    private let groupsPerDevice: Int
    private let queuesPerGroup: Int

    private final class Slot: Sendable {
        let worker = Locked<Worker?>(nil)
    }

    /// - Parameters:
    ///   - engine: what runs the queues; nobody else need know which.
    ///   - service: what the engines work for.
    ///   - device: one of `deviceCount` devices, all with as many queues.
    init<Engine: QueueEngine & ~Copyable>(
        _ engine: Engine.Type, _ service: Engine.Device, like device: any VirtioDevice,
        deviceCount: Int, _ options: WorkerOptions, _ logger: Logger
    ) {
        let queuesPerGroup = device.queuesPerGroup
        let groupsPerDevice = (device.queueCount + queuesPerGroup - 1) / queuesPerGroup
        let count = options.workers(for: groupsPerDevice * deviceCount)
        let groups = (groupsPerDevice * deviceCount + count - 1) / count
        let depth = Int(device.largestQueue) + 8
        self.queuesPerGroup = queuesPerGroup
        self.groupsPerDevice = groupsPerDevice
        start = { (number) throws(SystemError) in
            let cpu = options.cpus.isEmpty ? nil : options.cpus[number % options.cpus.count]
            return try Worker(
                Engine.self, service, number: number, queues: groups * queuesPerGroup,
                depth: depth, cpu: cpu, options, logger)
        }
        workers = (0..<count).map { _ in Slot() }
        options.effectivePlacement.announce(logger)
    }

    /// Gives the queue `queue` of the device `device` an order and waits for its answer; nil where
    /// `interruption` became readable first.
    func ask(
        _ device: Int, _ queue: Int, _ order: consuming QueueOrder, interruption: Int32
    ) throws(SystemError) -> WorkerAnswer? {
        let group = device * groupsPerDevice + queue / queuesPerGroup
        let number = group % workers.count
        let local = group / workers.count * queuesPerGroup + queue % queuesPerGroup
        var order = Optional(
            WorkerOrder.queue(QueuePlace(device: device, queue: queue, local: local), order))
        return try workers[number].worker.withLock {
            (slot: inout Worker?) throws(SystemError) -> WorkerAnswer? in
            if slot == nil { slot = try start(number) }
            guard let worker = slot, let order = order.take() else { return nil }
            let answer = worker.ask(order, interruption: interruption)
            if case .broken = answer {
                // Its thread could not begin; the next order tries again.
                worker.leave()
                slot = nil
            }
            return answer
        }
    }

    /// Gives every worker there is the memory of the device `device` as it is now, and waits until
    /// none uses what was removed. Nil where `interruption` became readable first.
    func spread(
        _ device: Int, _ map: GuestMap, removed: [Mapping], interruption: Int32
    ) -> WorkerAnswer? {
        for number in workers.indices {
            let answer = workers[number].worker.withLock { slot -> WorkerAnswer? in
                guard let worker = slot else { return .done }
                let order = WorkerOrder.setMemory(
                    map, removed: removed, queues: queues(of: device, on: number))
                return worker.ask(order, interruption: interruption)
            }
            guard case .done = answer else { return answer }
        }
        return .done
    }

    /// Which of a worker's queues are a device's.
    private func queues(of device: Int, on number: Int) -> Range<Int> {
        /// Groups before `group` that are dealt to the worker.
        func before(_ group: Int) -> Int {
            group <= number ? 0 : (group - number + workers.count - 1) / workers.count
        }
        let first = before(device * groupsPerDevice)
        let end = before((device + 1) * groupsPerDevice)
        return first * queuesPerGroup..<end * queuesPerGroup
    }

    /// Stops every queue and ends the threads, within `milliseconds`: what is in flight by then was
    /// not acknowledged, and ends with the process.
    func end(milliseconds: Int) {
        let deadline = Clock.nanoseconds() + UInt64(milliseconds) * 1_000_000
        for slot in workers {
            slot.worker.withLock { slot in
                guard let worker = slot.take() else { return }
                let now = Clock.nanoseconds()
                let left = now < deadline ? (deadline - now) / 1_000_000 : 0
                // A thread that hangs in its store is left behind: joining it would hang us too.
                switch worker.ask(.stopAll, milliseconds: Int32(left)) {
                case .done, .broken: worker.leave()
                default: break
                }
            }
        }
    }
}

/// What a session needs of its device's workers.
struct DeviceWorkers {
    let device: any VirtioDevice
    let trouble: Trouble
    let changes: ConfigurationSignal
    private let pool: WorkerPool
    /// Which of the pool's devices it is.
    private let number: Int

    init(
        _ device: any VirtioDevice, number: Int = 0, in pool: WorkerPool
    ) throws(SystemError) {
        self.device = device
        self.number = number
        self.pool = pool
        trouble = try Trouble()
        changes = try ConfigurationSignal()
    }

    func ask(
        _ queue: Int, _ order: consuming QueueOrder, interruption: Int32
    ) throws(SystemError) -> WorkerAnswer? {
        try pool.ask(number, queue, order, interruption: interruption)
    }

    func spread(
        _ map: GuestMap, removed: [Mapping], interruption: Int32
    ) -> WorkerAnswer? {
        pool.spread(number, map, removed: removed, interruption: interruption)
    }
}
