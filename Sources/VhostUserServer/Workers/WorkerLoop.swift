import GuestMemory
import Host
import Logging
import VirtioSpec
import Virtqueue

/// A worker's thread: one io_uring in which it waits for kicks, completions and orders, and at most
/// one queue that it runs.
struct WorkerLoop<Engine: QueueEngine & ~Copyable>: ~Copyable {
    private let device: Engine.Device
    private let mailbox: WorkerMailbox
    private var logger: Logger
    private let pollNanoseconds: UInt64
    private let placement: Placement
    private var ring: IORing
    private var queue: RunningQueue<Engine>?
    private var isWaitingForOrder = false
    private var generation: UInt64 = 0
    /// Losses of shared memory, anywhere in the process, that were looked into.
    private var losses = Mapping.losses
    private var hasLeft = false

    static func run(
        _ device: Engine.Device, index: Int, _ options: WorkerOptions, _ mailbox: WorkerMailbox,
        _ logger: Logger
    ) {
        var logger = logger
        logger[metadataKey: "queue"] = "\(index)"
        do throws(SystemError) {
            var loop = try WorkerLoop(device, options, mailbox, logger)
            loop.run()
        } catch {
            // Without a ring there is nothing to run on. The first order gets that for an answer.
            _ = mailbox.wake.wait(milliseconds: -1)
            if case .some = mailbox.take() { mailbox.reply(.broken(error)) }
        }
    }

    /// How often a ring without kicks is looked at.
    private static var lookMicroseconds: UInt32 { 200 }

    private init(
        _ device: Engine.Device, _ options: WorkerOptions, _ mailbox: WorkerMailbox,
        _ logger: Logger
    ) throws(SystemError) {
        ring = try IORing(depth: Int(device.largestQueue) + 8)
        self.device = device
        self.mailbox = mailbox
        self.logger = logger
        pollNanoseconds = UInt64(options.pollMicroseconds) * 1000
        // A processor that was asked for outweighs a node that was not.
        placement = options.cpus.isEmpty ? options.placement : .off
    }

    private mutating func run() {
        var idleSince: UInt64 = 0
        while !hasLeft {
            if mailbox.hasOrder { takeOrder() }
            // Not one more turn: the wake-up that would end its sleep is spent.
            if hasLeft { return }
            var worked = reap()
            worked = queue?.breathe(&ring, logger) ?? false || worked
            noticeLoss()
            answerIfSettled()
            ring.submit()
            if worked {
                idleSince = 0
                continue
            }
            if pollNanoseconds > 0, queue != nil {
                let now = Clock.nanoseconds()
                if idleSince == 0 { idleSince = now }
                if now - idleSince < pollNanoseconds { continue }
            }
            sleep()
        }
    }

    /// Asks for the session's end where the guest's memory is not all there any more.
    private mutating func noticeLoss() {
        let now = Mapping.losses
        guard now != losses else { return }
        losses = now
        if queue?.stopIfLost() ?? false { mailbox.trouble.event.signal() }
    }

    /// Takes every completion that is there.
    private mutating func reap() -> Bool {
        var any = false
        while let completion = ring.next() {
            any = true
            switch completion.tag {
            case ..<Tag.order: queue?.complete(completion, &ring)
            case Tag.order:
                isWaitingForOrder = false
                // Its order may have been seen and taken before it was signalled.
                mailbox.wake.drain()
            case Tag.kick...: queue?.kicked(completion, logger)
            default: break
            }
        }
        return any
    }

    private mutating func sleep() {
        if queue?.requestKicks(&ring) ?? false { return }
        if !isWaitingForOrder {
            isWaitingForOrder = ring.waitForInput(mailbox.wake.descriptor.raw, tag: Tag.order)
        }
        // An order posted before the wait was armed has left its eventfd readable: no race here.
        if queue?.mustLook ?? false {
            ring.submitAndWait(microseconds: Self.lookMicroseconds)
        } else {
            ring.submitAndWait()
        }
        queue?.suppressKicks()
    }

    private mutating func takeOrder() {
        // A new order while one is unanswered: nobody waits for that answer any more.
        queue?.forgetMove()
        switch mailbox.take() {
        case .none: break
        case .start(let start): mailbox.reply(begin(start))
        case .stop:
            if queue == nil {
                mailbox.reply(.stopped(base: 0, QueueCounters()))
            } else {
                queue?.isStopping = true
            }
        case .setKick(let kick):
            queue?.setKick(kick, &ring)
            mailbox.reply(.done)
        case .setCall(let call):
            queue?.setCall(call)
            mailbox.reply(.done)
        case .setError(let error):
            queue?.setError(error)
            mailbox.reply(.done)
        case .enable(let isEnabled):
            queue?.isEnabled = isEnabled
            mailbox.reply(.done)
        case .setMemory(let map, let removed):
            // Answered when nothing uses what was removed.
            if queue == nil {
                mailbox.reply(.done)
            } else {
                queue?.move(to: map, removed: removed)
            }
        case .leave: hasLeft = true
        }
    }

    private mutating func begin(_ start: consuming QueueStart) -> WorkerAnswer {
        placement.settle(for: start.map)
        do throws(RingPlacementFault) {
            let memory = try SplitRingMemory(start.map, start.addresses, size: start.size)
            let queue = SplitQueue(memory, base: start.base, features: start.features)
            do throws(SystemError) {
                let engine = try Engine(device, slots: Int(start.size.count))
                self.queue = RunningQueue(queue, engine, start, generation: generation)
                return .done
            } catch { return .failed(error) }
        } catch { return .misplaced(error) }
    }

    /// Answers a stop or a change of memory once nothing in flight stands in the way.
    private mutating func answerIfSettled() {
        if queue?.settledMove(logger) ?? false { mailbox.reply(.done) }
        guard let answer = queue?.settledStop(&ring) else { return }
        generation = queue?.generation ?? 0
        queue = nil
        mailbox.reply(answer)
    }
}

/// Tags of a worker's own operations in its ring; below them are the slots of the queue.
enum Tag {
    static let order: UInt64 = 1 << 32
    static let cancel: UInt64 = 2 << 32
    /// Plus a generation, so that a wait on a descriptor since replaced is told apart.
    static let kick: UInt64 = 1 << 48
}
