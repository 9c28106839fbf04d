import GuestMemory
import Host
import Logging
import Virtqueue

/// A queue while a worker runs it: the ring, its engine, the memory it sees, and the descriptors by
/// which the two sides notify each other.
public struct RunningQueue<Engine: QueueEngine & ~Copyable>: ~Copyable {
    var form: RingForm
    var engine: Engine
    var memory: GuestMemory
    /// By which the session is ended that the queue belongs to.
    private let trouble: Trouble
    /// Through which its front-end hears that the device's configuration space has changed.
    let changes: ConfigurationSignal?
    private var kick: Notification?
    private var call: Notification?
    private var error: Notification?

    /// A disabled ring takes nothing where its engine knows no way to serve it without side effects.
    var isEnabled: Bool
    var isStopping = false
    /// Until when what is in flight is waited for, where it may be left.
    private var suspensionTime: UInt64?
    /// Enough for what can be cancelled to come back, and little to a front-end that waits for it.
    private static var suspensionNanoseconds: UInt64 { 20_000_000 }
    /// An earlier run of the queue has operations under way still. Nothing is taken until they end:
    /// what they were begun for is to be begun again, and must not overtake itself.
    var isHeldBack = false
    /// Where requests in flight are recorded.
    private let inflightMemory: Mapping?
    /// Mappings that are gone from memory and may still be in use by what is in flight; held, and
    /// so mapped, until they are not.
    private var leaving: [Mapping]?
    private var misplaced: RingPlacementFault?
    /// Some of the guest's memory was found missing.
    private var isLost = false

    /// How long it is watched without work.
    private var patience: Patience
    /// Left to its kick: the worker does not look at it.
    private(set) var isAsleep = false
    private var isWaitingForKick = false
    /// The tag of the wait for a kick, another for every kick descriptor.
    private var kickTag: UInt64
    /// Kicks that came while the ring was all zeroes.
    private var idleKicks = 0
    private var hasReportedError = false

    init(
        _ form: consuming RingForm, _ engine: consuming Engine, _ start: consuming QueueStart,
        patience: Patience, kickTag: UInt64
    ) {
        self.kickTag = kickTag
        self.form = form
        self.engine = engine
        self.patience = patience
        memory = GuestMemory(start.map)
        trouble = start.trouble
        changes = start.changes
        isEnabled = start.isEnabled
        kick = start.kick
        call = start.call
        error = start.error
        inflightMemory = start.inflight.memory
        // The driver may have missed a call while nobody ran the queue.
        signalCall()
    }

    var mayTake: Bool {
        (isEnabled || engine.servesDisabled) && !isStopping && !isLost && !isHeldBack
            && misplaced == nil
    }

    /// Takes nothing more, and asks for its session's end, where some of the guest's memory was
    /// found missing.
    mutating func stopIfLost() {
        isLost = isLost || memory.map.allMappings.contains { $0.isLost }
        isLost = isLost || inflightMemory?.isLost ?? false
        if isLost { trouble.event.signal() }
    }

    /// One breath: take what is there, then show what is done. Returns whether there was anything.
    mutating func breathe(_ ring: inout IORing, _ logger: Logger) -> Bool {
        var worked = false
        if mayTake {
            do throws(QueueViolation) {
                worked = try form.breathe(&engine, &memory, &ring)
            } catch {
                report(error, logger)
            }
        }
        show()
        reportStoreError(logger)
        if worked { patience.worked() }
        return worked
    }

    /// Shows the driver what is done.
    @inline(__always)
    mutating func show() {
        if form.publish() { signalCall() }
    }

    /// There was work, though not by a breath of its own.
    mutating func worked() { patience.worked() }

    mutating func complete(slot: Int, result: Int32, _ ring: inout IORing) {
        form.complete(slot: slot, result: result, &engine, &ring)
    }

    /// Says what was found of an earlier run of the ring.
    mutating func reportStart(_ logger: Logger) {
        if let violation = form.violation { return report(violation, logger) }
        let count = form.resumable
        if count > 0 { logger.info("\(count) requests that were left in flight are done again") }
    }

    mutating func report(_ violation: QueueViolation, _ logger: Logger) {
        engine.counters.violations &+= 1
        if case .inflight(let fault) = violation {
            logger.error(
                "the queue takes nothing: the buffer of requests in flight: \(fault.text)")
        } else {
            logger.error("the driver broke the ring; the queue takes nothing more: \(violation)")
        }
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

    /// Leaves the queue to its kick. Returns false where there is work already.
    mutating func fallAsleep(_ ring: inout IORing) -> Bool {
        engine.fallAsleep(&ring)
        if mayTake, engine.wantsKick {
            if form.requestKicks() {
                form.suppressKicks()
                return false
            }
            if !isWaitingForKick, let raw = kick?.raw {
                isWaitingForKick = ring.waitForInput(raw, tag: kickTag)
            }
        } else if mayTake {
            form.suppressKicks()
        }
        isAsleep = true
        return true
    }

    /// Whether it has had nothing for as long as it is worth watching, `now` in nanoseconds.
    mutating func isTimeToSleep(_ now: UInt64) -> Bool {
        patience.isOver(now, isWaitedFor: engine.isWaitedFor)
    }

    /// The worker looks at the queue again, for a kick or for a completion.
    mutating func wake() {
        guard isAsleep else { return patience.worked() }
        isAsleep = false
        patience.woken(Clock.nanoseconds())
        if mayTake { form.suppressKicks() }
    }

    /// Whether nobody will tell us of new chains: the front-end gave no kick descriptor, or a dead
    /// one. Then the ring is looked at from time to time.
    var mustLook: Bool { mayTake && kick == nil && engine.wantsKick }

    /// The wait for a kick under `tag` has ended. False where it was on a descriptor since replaced.
    mutating func kicked(_ tag: UInt64, result: Int32, _ logger: Logger) -> Bool {
        guard tag == kickTag else { return false }
        isWaitingForKick = false
        engine.counters.kicks &+= 1
        let drained = result < 0 ? .dead : kick?.drain() ?? .empty
        if drained == .dead {
            // Waiting on it again would only spin.
            logger.warning("the kick descriptor is dead; looking at the ring from time to time")
            kick = nil
        }
        noticeForeignMemory(logger)
        return true
    }

    /// A driver that kicks has put something into its ring. Where the ring stays all zeroes, what
    /// was mapped is not the memory that the guest uses.
    private mutating func noticeForeignMemory(_ logger: Logger) {
        // One request settles it, and spares every later kick the look.
        guard engine.counters.requests == 0, idleKicks < 2, form.isUntouched() else { return }
        idleKicks += 1
        if idleKicks == 2 { logger.error("\(Hint.memoryNotShared)") }
    }

    mutating func setKick(_ next: consuming Notification?, tag: UInt64, _ ring: inout IORing) {
        if isWaitingForKick {
            _ = ring.cancelWait(tag: kickTag, ownTag: Tag.cancel)
            isWaitingForKick = false
        }
        kickTag = tag
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
            try form.move(to: map)
            misplaced = nil
        } catch {
            // The old mapping lives on for the ring alone, so that what is in flight can be given
            // back; nothing more is taken.
            misplaced = error
        }
        memory = GuestMemory(map)
        leaving = (leaving ?? []) + removed
    }

    /// Lets go of removed memory that nothing in flight uses any more. True where none is left.
    mutating func settleMove(_ logger: Logger) -> Bool {
        guard let mappings = leaving else { return true }
        for mapping in mappings where engine.touches(mapping) { return false }
        leaving = nil
        if let misplaced {
            logger.warning(
                "the ring's memory was removed; it rests until that is back: \(misplaced)")
        }
        return true
    }

    /// Takes nothing more.
    mutating func stop(_ manner: StopManner, _ ring: inout IORing) {
        isStopping = true
        guard manner == .suspend, inflightMemory != nil else { return }
        suspensionTime = Clock.nanoseconds() + Self.suspensionNanoseconds
        engine.cancel(&ring)
    }

    /// Whether it will stop at a certain time, whatever is in flight.
    var isSuspending: Bool { suspensionTime != nil }

    /// Where a queue that is to stop has nothing in flight any more: its last words.
    mutating func settleStop(_ ring: inout IORing) -> WorkerAnswer? {
        guard isStopping else { return nil }
        if engine.inFlight > 0 {
            guard let suspensionTime, Clock.nanoseconds() >= suspensionTime else { return nil }
            form.suspend(&engine)
        }
        if form.publish() { signalCall() }
        // Whoever runs the ring next finds it as a driver makes it.
        _ = form.requestKicks()
        setKick(nil, tag: kickTag, &ring)
        engine.stop(&ring)
        return .stopped(base: form.vringBase, engine.counters)
    }
}
