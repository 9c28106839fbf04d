import GuestMemory
import Host
import Virtqueue

/// What the control plane asks, and the answers that wait until something is done.
extension WorkerLoop where Engine: ~Copyable {
    mutating func takeOrder() {
        // A new order while one is unanswered: nobody waits for that answer any more.
        owed = nil
        switch mailbox.take() {
        case .none: break
        case .queue(let place, let order): perform(order, place)
        case .setMemory(let map, let removed, let numbers):
            for number in numbers {
                queues[number]?.move(to: map, removed: removed)
                wake(number)
            }
            owed = .memory
            isUnsettled = true
        case .stopAll:
            for number in 0..<queues.count { stop(number, .drain) }
            owed = .stopAll
            isUnsettled = true
        case .leave: hasLeft = true
        }
    }

    private mutating func perform(_ order: consuming QueueOrder, _ place: QueuePlace) {
        let number = place.local
        switch consume order {
        case .start(let start): return mailbox.reply(begin(start, place))
        case .stop(let manner):
            guard queues[number] != nil else {
                return mailbox.reply(.stopped(base: 0, QueueCounters()))
            }
            stop(number, manner)
            owed = .stop(number)
            isUnsettled = true
            return
        case .setKick(let kick):
            let tag = nextKickTag(number)
            queues[number]?.setKick(kick, tag: tag, &ring)
        case .setCall(let call): queues[number]?.setCall(call)
        case .setError(let error): queues[number]?.setError(error)
        case .enable(let isEnabled): queues[number]?.isEnabled = isEnabled
        }
        wake(number)
        mailbox.reply(.done)
    }

    private mutating func nextKickTag(_ number: Int) -> UInt64 {
        generation += 1
        return Tag.kick(queue: number, generation: generation)
    }

    private mutating func stop(_ number: Int, _ manner: StopManner) {
        queues[number]?.stop(manner, &ring)
        wake(number)
    }

    private mutating func begin(
        _ start: consuming QueueStart, _ place: QueuePlace
    ) -> WorkerAnswer {
        let number = place.local
        options.effectivePlacement.settle(for: start.map, &node, logger)
        do throws(RingPlacementFault) {
            let form = try RingForm(start)
            do throws(SystemError) {
                let engine = try Engine(
                    device, place, slots: Int(start.size), tags: Tag.operations(queue: number))
                let patience = Patience(microseconds: options.pollMicroseconds)
                queues[number] = RunningQueue(
                    form, engine, start, patience: patience, kickTag: nextKickTag(number))
                queues[number]?.isHeldBack = lingering[number] != nil
                queues[number]?.reportStart(logger)
                add(number)
                return .done
            } catch { return .failed(error) }
        } catch { return .misplaced(error) }
    }

    /// Ends what waited for I/O in flight, and answers what is owed once all of it has.
    mutating func settle() {
        isUnsettled = false
        isSuspending = false
        var isMoving = false
        var isStopping = false
        for number in 0..<queues.count {
            if !(queues[number]?.settleMove(logger) ?? true) { isMoving = true }
            guard queues[number]?.isStopping ?? false else { continue }
            guard let last = queues[number]?.settleStop(&ring) else {
                isStopping = true
                if queues[number]?.isSuspending ?? false { isSuspending = true }
                continue
            }
            keepLingering(number)
            remove(number)
            if owed == .stop(number) { answer(with: last) }
        }
        isUnsettled = isMoving || isStopping
        if owed == .memory, !isMoving { answer(with: .done) }
        if owed == .stopAll, !isStopping { answer(with: .done) }
    }

    /// Puts a queue aside that has stopped and whose operations have not.
    private mutating func keepLingering(_ number: Int) {
        let count = queues[number]?.engine.lingering ?? 0
        guard count > 0 else { return }
        logger.warning("\(count) requests are left in flight; their I/O can't be cancelled")
        lingering[number] = queues[number].take()
        lingeringCount += 1
    }

    /// An operation of a queue put aside has ended.
    mutating func endLingering(_ number: Int) {
        lingering[number]?.engine.endLingering()
        guard lingering[number]?.engine.lingering == 0 else { return }
        lingering[number] = nil
        lingeringCount -= 1
        queues[number]?.isHeldBack = false
        wake(number)
    }

    private mutating func answer(with value: WorkerAnswer) {
        owed = nil
        mailbox.reply(value)
    }
}
