import BlockStores
import GuestMemory
import Host
import Logging
import VirtioSpec
import Virtqueue

/// A worker's thread: one io_uring in which it waits for kicks, completions and orders, and the
/// queues that it runs.
struct WorkerLoop<Engine: QueueEngine & ~Copyable>: ~Copyable {
    let device: Engine.Device
    let mailbox: WorkerMailbox
    let logger: Logger
    let options: WorkerOptions
    var ring: IORing
    var queues: Table<RunningQueue<Engine>?>
    /// Queues that were suspended while the store was at work for them, by number, and how many. The
    /// kernel may still write to the guest's memory for them, so that stays mapped.
    var lingering: Table<RunningQueue<Engine>?>
    var lingeringCount = 0
    /// The queues that are looked at, by number; the others have been left to their kicks.
    private var awake: Table<Int>
    private var awakeCount = 0
    private var isWaitingForOrder = false
    /// Makes every kick descriptor's tag another.
    var generation: UInt64 = 0
    /// Losses of shared memory, anywhere in the process, that were looked into.
    private var losses = Mapping.losses
    /// The memory node that the thread has settled on.
    var node: Int32?
    var hasLeft = false
    /// Some queue waits for what is in flight, to stop or to let go of memory.
    var isUnsettled = false
    /// One of them will stop at a certain time.
    var isSuspending = false
    /// The answer that the control plane waits for until then.
    var owed: Owed?

    enum Owed: Equatable {
        case memory
        case stop(Int)
        case stopAll
    }

    @specialized(where Engine == BlockEngine<RawLane>)
    @specialized(where Engine == BlockEngine<MemoryStore.Lane>)
    @specialized(where Engine == BlockEngine<NullStore.Lane>)
    @specialized(where Engine == NetEngine)
    static func run(
        _ device: Engine.Device, queues: Int, depth: Int, _ options: WorkerOptions,
        _ mailbox: WorkerMailbox, _ logger: Logger
    ) {
        // Before anything is allocated, so that the tables lie there too.
        var node: Int32?
        if let map = mailbox.waitForFirstMap() {
            options.effectivePlacement.settle(for: map, &node, logger)
        }
        do throws(SystemError) {
            var loop = try WorkerLoop(device, queues, depth, options, mailbox, logger)
            loop.node = node
            loop.run()
        } catch {
            // Without a ring there is nothing to run on. The first order gets that for an answer.
            if case .some = mailbox.take() { mailbox.reply(.broken(error)) }
        }
    }

    /// How often a ring without kicks is looked at.
    private static var lookMicroseconds: UInt32 { 200 }
    /// Entries of the submission queue at most; what is more goes in several turns.
    private static var mostDepth: Int { 1024 }

    private init(
        _ device: Engine.Device, _ queues: Int, _ depth: Int, _ options: WorkerOptions,
        _ mailbox: WorkerMailbox, _ logger: Logger
    ) throws(SystemError) {
        ring = try IORing(depth: min(Self.mostDepth, depth))
        self.device = device
        self.mailbox = mailbox
        self.logger = logger
        self.options = options
        self.queues = Table(count: queues) { _ in nil }
        lingering = Table(count: queues) { _ in nil }
        awake = Table(count: queues) { _ in 0 }
    }

    private mutating func run() {
        // Held once: what is of the loop itself may change, as far as the compiler can tell, and would
        // be held anew for every breath.
        let device = device
        while !hasLeft {
            if mailbox.hasOrder { takeOrder() }
            // Not one more turn: the wake-up that would end its sleep is spent.
            if hasLeft { return }
            var worked = reap()
            worked = breathe(device) || worked
            noticeLoss()
            if isUnsettled { settle() }
            ring.submit()
            if !worked { rest() }
        }
    }

    // Breathing.

    /// A breath of every queue that is awake. Those that had nothing for as long as their patience
    /// goes fall asleep.
    private mutating func breathe(_ device: Engine.Device) -> Bool {
        var worked = false
        var now: UInt64 = 0
        var place = 0
        while place < awakeCount {
            let number = awake[place]
            if Engine.breathe(number, &queues, &ring, device, logger) {
                worked = true
            } else if isTimeToSleep(number, &now), queues[number]?.fallAsleep(&ring) ?? true {
                awakeCount -= 1
                awake[place] = awake[awakeCount]
                continue
            }
            place += 1
        }
        return worked
    }

    private mutating func isTimeToSleep(_ number: Int, _ now: inout UInt64) -> Bool {
        // Without a kick to wait for, it stays awake, and the worker looks at it from time to time.
        guard !(queues[number]?.mustLook ?? false) else { return false }
        if now == 0 { now = Clock.nanoseconds() }
        return queues[number]?.isTimeToSleep(now) ?? true
    }

    /// Looks at a queue again.
    mutating func wake(_ number: Int) {
        let wasAsleep = queues[number]?.isAsleep ?? false
        queues[number]?.wake()
        if wasAsleep { add(number) }
    }

    /// Looks at a queue from now on.
    mutating func add(_ number: Int) {
        awake[awakeCount] = number
        awakeCount += 1
    }

    /// Forgets a queue, awake or not.
    mutating func remove(_ number: Int) {
        queues[number] = nil
        for place in 0..<awakeCount where awake[place] == number {
            awakeCount -= 1
            awake[place] = awake[awakeCount]
            return
        }
    }

    /// Takes every completion that is there.
    private mutating func reap() -> Bool {
        var any = false
        while let completion = ring.next() {
            any = true
            switch Tag.meaning(completion.tag) {
            case .operation(let number, _) where lingeringCount > 0 && lingering[number] != nil:
                endLingering(number)
            case .operation(let number, let slot):
                wake(number)
                queues[number]?.complete(slot: slot, result: completion.result, &ring)
            case .kick(let number):
                let isItsOwn =
                    queues[number]?.kicked(completion.tag, result: completion.result, logger)
                if isItsOwn ?? false { wake(number) }
            case .order:
                isWaitingForOrder = false
                // Its order may have been seen and taken before it was signalled.
                mailbox.wake.drain()
            case .other: break
            }
        }
        return any
    }

    /// Asks for the session's end where the guest's memory is not all there any more.
    private mutating func noticeLoss() {
        let now = Mapping.losses
        guard now != losses else { return }
        losses = now
        for number in 0..<queues.count { queues[number]?.stopIfLost() }
    }

    /// Nothing happened in this turn: sleeps, where no queue is to be watched.
    private mutating func rest() {
        var mustLook = false
        for place in 0..<awakeCount {
            guard queues[awake[place]]?.mustLook ?? false else { return }
            mustLook = true
        }
        if !isWaitingForOrder {
            isWaitingForOrder = ring.waitForInput(mailbox.wake.descriptor.raw, tag: Tag.order)
        }
        // An order posted before the wait was armed has left its eventfd readable: no race here.
        if mustLook || isSuspending {
            ring.submitAndWait(microseconds: Self.lookMicroseconds)
        } else {
            ring.submitAndWait()
        }
    }
}
