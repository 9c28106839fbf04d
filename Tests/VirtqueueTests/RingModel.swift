/// What a ring with its two sides must do, step by step, with nothing in it of how it is done:
/// chains are numbers from 0 on, in the order in which the driver made them available.
struct RingModel: Hashable {
    /// What a ring is made of, and what the two sides have agreed on.
    struct Plan: Hashable {
        let way: Way
        let size: Int
        /// Where the indices begin.
        let start: UInt64
        /// Descriptors of each chain, of all that the driver has to offer.
        let lengths: [Int]
    }

    enum Step: Hashable {
        // The driver's.
        case offer(Int), considerKick, reap, armCall, wakeDriver
        // The device's.
        case take, complete(Int), publish, requestKicks, wakeDevice
    }

    /// When a side wants to be told; positions count descriptors in a packed ring, chains else.
    enum Wish: Hashable {
        case always, never
        case at(Int)

        func covers(_ positions: Range<Int>) -> Bool {
            switch self {
            case .always: true
            case .never: false
            case .at(let position): positions.contains(position)
            }
        }
    }

    let plan: Plan

    /// Chains offered, considered for a kick, and seen by the device when it last looked.
    private(set) var offered = 0
    private(set) var considered = 0
    private var seen = 0
    private(set) var taken = 0
    /// Taken and not done; done, and with IN_ORDER waiting for those before them.
    private(set) var held: [Int] = []
    private var early: [Int] = []
    /// In the order in which they were given back; the first so many of them the driver has been
    /// shown, and has taken back.
    private(set) var used: [Int] = []
    private(set) var shown = 0
    private(set) var reaped = 0
    private(set) var kickWish: Wish
    private(set) var callWish: Wish
    private(set) var isKicked = false
    private(set) var isCalled = false
    private(set) var deviceSleeps = false
    private(set) var driverSleeps = false

    init(_ plan: Plan) {
        self.plan = plan
        let isSplit = plan.way.form == .split
        // Nobody has said anything yet. An event that is zero in memory is a position, too.
        kickWish = isSplit && plan.way.eventIndex ? .at(-Int(plan.start) & 0xffff) : .always
        callWish = isSplit && plan.way.eventIndex ? .at(0) : .always
    }

    /// All chains have gone through the ring.
    var isDone: Bool { reaped == plan.lengths.count }
    /// Taken and, as the driver will see it, not given back.
    var inFlight: Int { taken - used.count }
    var isAvailable: Bool { offered != taken }

    // Positions.

    private func descriptors(_ chains: some Sequence<Int>) -> Int {
        chains.reduce(0) { $0 + plan.lengths[$1] }
    }

    func availablePosition(_ count: Int) -> Int {
        plan.way.form == .split ? count : descriptors(0..<count)
    }

    func usedPosition(_ count: Int) -> Int {
        plan.way.form == .split ? count : descriptors(used.prefix(count))
    }

    // Steps.

    /// What may come next. Each side does one thing after the other, as it ought to.
    var steps: [Step] {
        var steps: [Step] = []
        if driverSleeps {
            if isCalled { steps.append(.wakeDriver) }
        } else if considered != offered {
            steps.append(.considerKick)
        } else {
            let out = Set(0..<offered).subtracting(used.prefix(reaped))
            var room = plan.size - descriptors(out)
            for count in 1...max(1, plan.lengths.count - offered)
            where offered + count <= plan.lengths.count {
                room -= plan.lengths[offered + count - 1]
                if room >= 0 { steps.append(.offer(count)) }
            }
            if shown > reaped { steps.append(.reap) }
            if offered > reaped { steps.append(.armCall) }
        }
        if deviceSleeps {
            if isKicked { steps.append(.wakeDevice) }
        } else {
            steps.append(.take)
            if used.count > shown { steps.append(.publish) } else { steps.append(.requestKicks) }
        }
        // A completion wakes a device that sleeps.
        steps += held.indices.map { .complete($0) }
        return steps
    }

    /// Goes on by a step. Returns what whoever does it must be told: whether there was anything,
    /// whether the other side is to be notified, whether it must not sleep.
    private mutating func apply(_ step: Step) -> Bool {
        switch step {
        case .offer(let count): offered += count
        case .considerKick:
            let range = availablePosition(considered)..<availablePosition(offered)
            considered = offered
            guard kickWish.covers(range) else { return false }
            isKicked = true
        case .reap: reaped += 1
        case .armCall:
            callWish = plan.way.eventIndex ? .at(usedPosition(reaped)) : .always
            guard shown > reaped else {
                driverSleeps = true
                return false
            }
            suppressCalls()
        case .wakeDriver:
            isCalled = false
            driverSleeps = false
            suppressCalls()
        case .take: return take()
        case .complete(let place): complete(place)
        case .publish:
            let range = usedPosition(shown)..<usedPosition(used.count)
            shown = used.count
            guard callWish.covers(range) else { return false }
            isCalled = true
        case .requestKicks:
            kickWish = plan.way.eventIndex ? .at(availablePosition(taken)) : .always
            guard isAvailable else {
                deviceSleeps = true
                return false
            }
            suppressKicks()
        case .wakeDevice:
            isKicked = false
            deviceSleeps = false
            suppressKicks()
        }
        return true
    }

    func after(_ step: Step) -> (model: RingModel, outcome: Bool) {
        var next = self
        let outcome = next.apply(step)
        return (next, outcome)
    }

    private mutating func take() -> Bool {
        if plan.way.form == .split, seen == taken { seen = offered }
        guard isAvailable else { return false }
        held.append(taken)
        taken += 1
        return true
    }

    private mutating func complete(_ place: Int) {
        early.append(held.remove(at: place))
        if deviceSleeps {
            deviceSleeps = false
            suppressKicks()
        }
        if plan.way.inOrder {
            early.sort()
            while early.first == used.count { used.append(early.removeFirst()) }
        } else {
            used.append(early.removeLast())
        }
    }

    /// A split ring's events stay where they are for the device, and move back for the driver.
    private mutating func suppressKicks() {
        if plan.way.form == .packed || !plan.way.eventIndex { kickWish = .never }
    }

    private mutating func suppressCalls() {
        callWish =
            plan.way.form == .packed || !plan.way.eventIndex ? .never : .at(reaped - 1)
    }
}
