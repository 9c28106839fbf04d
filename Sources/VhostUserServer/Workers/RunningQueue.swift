import GuestMemory
import Host
import Logging
import Virtqueue

/// A queue while a worker runs it: the ring, its engine, the memory it sees, and the descriptors by
/// which the two sides notify each other.
struct RunningQueue<Engine: QueueEngine & ~Copyable>: ~Copyable {
    private var queue: SplitQueue
    private var engine: Engine
    private var memory: GuestMemory
    private let addresses: RingAddresses
    private var kick: Notification?
    private var call: Notification?
    private var error: Notification?

    /// A disabled ring takes nothing: for a disk there is no way to serve without side effects.
    var isEnabled: Bool
    var isStopping = false
    /// Mappings that are gone from memory and may still be in use by what is in flight; held, and
    /// so mapped, until they are not.
    private var leaving: [Mapping]?
    /// The control plane waits to hear that they are not.
    private var owesAnswer = false
    private var misplaced: RingPlacementFault?
    /// Some of the guest's memory was found missing.
    private var isLost = false

    private var isWaitingForKick = false
    /// Tells one kick descriptor's wait from another's; goes on from queue to queue.
    private(set) var generation: UInt64
    /// Kicks that came while the ring was all zeroes.
    private var idleKicks = 0
    private var hasReportedError = false

    init(
        _ queue: consuming SplitQueue, _ engine: consuming Engine, _ start: consuming QueueStart,
        generation: UInt64
    ) {
        self.generation = generation
        self.queue = queue
        self.engine = engine
        memory = GuestMemory(start.map)
        addresses = start.addresses
        isEnabled = start.isEnabled
        kick = start.kick
        call = start.call
        error = start.error
        // The driver may have missed a call while nobody ran the queue.
        signalCall()
    }

    private var mayTake: Bool { isEnabled && !isStopping && !isLost && misplaced == nil }

    /// Takes nothing more where some of the guest's memory was found missing; true then.
    mutating func stopIfLost() -> Bool {
        isLost = isLost || memory.map.allMappings.contains { $0.isLost }
        return isLost
    }

    /// One breath: take what is there, then show what is done. Returns whether there was anything.
    mutating func breathe(_ ring: inout IORing, _ logger: Logger) -> Bool {
        var worked = false
        if mayTake {
            do throws(QueueViolation) {
                worked = try engine.breathe(&queue, &memory, &ring)
            } catch {
                report(error, logger)
            }
        }
        if queue.publish() { signalCall() }
        reportStoreError(logger)
        return worked
    }

    mutating func complete(_ completion: IORing.Completion, _ ring: inout IORing) {
        engine.complete(
            slot: Int(completion.tag), result: completion.result, &queue, &ring)
    }

    private mutating func report(_ violation: QueueViolation, _ logger: Logger) {
        engine.counters.violations &+= 1
        logger.error("the driver broke the ring; the queue takes nothing more: \(violation)")
        error?.signal()
    }

    /// Says once that the store fails; the counters go on.
    private mutating func reportStoreError(_ logger: Logger) {
        guard engine.counters.lastError != 0, !hasReportedError else { return }
        hasReportedError = true
        let error = SystemError("store", engine.counters.lastError)
        logger.error("a request failed and was answered with an I/O error: \(error.reason)")
    }

    private mutating func signalCall() {
        guard call != nil else { return }
        engine.counters.calls &+= 1
        call?.signal()
    }

    // Kicks.

    /// Before sleep: asks for a kick and for its wake-up. Returns true where there is work already.
    mutating func requestKicks(_ ring: inout IORing) -> Bool {
        guard mayTake else { return false }
        if queue.requestKicks() {
            queue.suppressKicks()
            return true
        }
        if !isWaitingForKick, let raw = kick?.raw {
            isWaitingForKick = ring.waitForInput(raw, tag: kickTag)
        }
        return false
    }

    /// Whether nobody will tell us of new chains: the front-end gave no kick descriptor, or a dead
    /// one. Then the ring is looked at from time to time.
    var mustLook: Bool { mayTake && kick == nil }

    mutating func suppressKicks() {
        if mayTake { queue.suppressKicks() }
    }

    private var kickTag: UInt64 { Tag.kick + generation }

    mutating func kicked(_ completion: IORing.Completion, _ logger: Logger) {
        guard completion.tag == kickTag else { return }
        isWaitingForKick = false
        engine.counters.kicks &+= 1
        let drained = completion.result < 0 ? .dead : kick?.drain() ?? .empty
        if drained == .dead {
            // Waiting on it again would only spin.
            logger.warning("the kick descriptor is dead; looking at the ring from time to time")
            kick = nil
        }
        noticeForeignMemory(logger)
    }

    /// A driver that kicks has put something into its ring. Where the ring stays all zeroes, what
    /// was mapped is not the memory that the guest uses.
    private mutating func noticeForeignMemory(_ logger: Logger) {
        // One request settles it, and spares every later kick the look.
        guard engine.counters.requests == 0, idleKicks < 2, queue.isUntouched() else { return }
        idleKicks += 1
        if idleKicks == 2 { logger.error("\(Hint.memoryNotShared)") }
    }

    mutating func setKick(_ next: consuming Notification?, _ ring: inout IORing) {
        if isWaitingForKick {
            _ = ring.cancelWait(tag: kickTag, ownTag: Tag.cancel)
            isWaitingForKick = false
        }
        generation += 1
        kick = next
    }

    mutating func setCall(_ next: consuming Notification?) {
        call = next
        // What was published just before may have gone to the old one.
        signalCall()
    }

    mutating func setError(_ next: consuming Notification?) { error = next }

    // Changes that wait for what is in flight.

    mutating func move(to map: GuestMap, removed: [Mapping]) {
        do throws(RingPlacementFault) {
            let place = try SplitRingMemory(map, addresses, size: queue.size)
            queue.move(to: place)
            misplaced = nil
        } catch {
            // The old mapping lives on for the ring alone, so that what is in flight can be given
            // back; nothing more is taken.
            misplaced = error
        }
        memory = GuestMemory(map)
        leaving = (leaving ?? []) + removed
        owesAnswer = true
    }

    mutating func forgetMove() { owesAnswer = false }

    /// True once, when nothing in flight uses what was removed, if that is still to be answered.
    mutating func settledMove(_ logger: Logger) -> Bool {
        guard let mappings = leaving else { return false }
        for mapping in mappings where engine.touches(mapping) { return false }
        leaving = nil
        if let misplaced {
            logger.warning(
                "the ring's memory was removed; it rests until that is back: \(misplaced)")
        }
        defer { owesAnswer = false }
        return owesAnswer
    }

    mutating func settledStop(_ ring: inout IORing) -> WorkerAnswer? {
        guard isStopping, engine.inFlight == 0 else { return nil }
        if queue.publish() { signalCall() }
        // Whoever runs the ring next finds it as a driver makes it.
        _ = queue.requestKicks()
        setKick(nil, &ring)
        return .stopped(base: queue.base, engine.counters)
    }
}
