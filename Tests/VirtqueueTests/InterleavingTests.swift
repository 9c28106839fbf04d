import GuestMemory
import Host
import Testing
import VhostUserFrontend
import VirtioSpec
import Virtqueue

@Suite("However the two sides' steps mix, the ring does what a simple model of it does")
struct InterleavingTests {
    private static let starts: [UInt64] = [0, 0x7ffe, 0xfffe]

    @Test("Every state that a few chains can reach, and every step from it", arguments: Way.all)
    func everyState(way: Way) throws {
        let sizes: [(Int, [Int])] = [(1, [1, 1, 1, 1]), (2, [1, 1, 1]), (2, [1, 2, 1])]
        for (size, lengths) in sizes + (way.form == .packed ? [(3, [1, 2, 1])] : []) {
            for start in Self.starts {
                let plan = RingModel.Plan(way: way, size: size, start: start, lengths: lengths)
                try Walk(plan, everyPath: false).run()
            }
        }
    }

    @Test("Every path that two chains can go, none left out for being alike", arguments: Way.all)
    func everyPath(way: Way) throws {
        let plan = RingModel.Plan(way: way, size: 1, start: 0xffff, lengths: [1])
        try Walk(plan, everyPath: true).run()
    }
}

/// Goes all ways through a model, and each of them on a real ring, from its start.
private final class Walk {
    private let plan: RingModel.Plan
    private let everyPath: Bool
    private let ram: GuestRAM
    private let map: GuestMap
    private var known: Set<RingModel> = []
    private var path: [RingModel.Step] = []
    private var rings = 0
    private var steps = 0
    private var ends = 0
    private var wrong = 0

    init(_ plan: RingModel.Plan, everyPath: Bool) throws {
        self.plan = plan
        self.everyPath = everyPath
        ram = try GuestRAM(byteCount: 1 << 20)
        map = try RingBench.map(ram)
    }

    func run() throws {
        try visit(RingModel(plan), on: try RealRing(plan, ram, map))
        let states = everyPath ? "" : "\(known.count) states, "
        print(
            "\(plan.way.testDescription), size \(plan.size), from \(plan.start), chains of "
                + "\(plan.lengths): \(states)\(rings) paths, \(steps) steps, \(ends) ends")
        #expect(ends > 0)
    }

    /// Goes on from a state that is new, in which `ring` is too.
    private func visit(_ model: RingModel, on ring: RealRing) throws {
        let possible = model.isDone ? [] : model.steps.map { ($0, after: model.after($0)) }
        // Steps that find nothing to do lead nowhere else: they are tried in passing.
        for (step, after) in possible where after.model == model {
            try check(step, after, ring)
        }
        var isHere = true
        for (step, after) in possible where after.model != model {
            if wrong > 0 { return }
            let ring = isHere ? ring : try replay()
            isHere = false
            path.append(step)
            try check(step, after, ring)
            if everyPath || known.insert(after.model).inserted {
                try visit(after.model, on: ring)
            } else {
                end(ring)
            }
            path.removeLast()
        }
        guard isHere else { return }
        ends += 1
        // Both asleep and nobody to wake them, or all is done.
        if !model.isDone { fail("a wake-up is lost") }
        end(ring)
    }

    private func replay() throws -> RealRing {
        let ring = try RealRing(plan, ram, map)
        for step in path { _ = try ring.apply(step) }
        return ring
    }

    private func end(_ ring: RealRing) {
        rings += 1
        ring.end()
    }

    private func check(
        _ step: RingModel.Step, _ after: (model: RingModel, outcome: Bool), _ ring: RealRing
    ) throws {
        steps += 1
        let outcome = try ring.apply(step)
        if outcome != after.outcome { fail("\(step): \(outcome), not \(after.outcome)") }
        if let difference = ring.difference(from: after.model) { fail("\(step): \(difference)") }
    }

    private func fail(_ what: String) {
        wrong += 1
        Issue.record("\(what), after \(path), in \(plan)")
    }
}

/// The two sides under test, led by the model's steps.
private final class RealRing {
    private let bench: RingBench
    private let plan: RingModel.Plan
    private var offered = 0
    private var taken = 0
    /// Chains taken and not completed, and their numbers.
    private var held: [Held] = []
    private var numbers: [Int] = []
    private var isAsleep = false
    private var tokens: [UInt64] = []
    private var trouble: String?

    init(_ plan: RingModel.Plan, _ ram: GuestRAM, _ map: GuestMap) throws {
        self.plan = plan
        ram.reset()
        for page in 0..<3 as Range<UInt64> { ram.fill(0, count: 256, at: page * 4096) }
        bench = try RingBench(
            plan.way.form, size: UInt16(plan.size), eventIndex: plan.way.eventIndex,
            inOrder: plan.way.inOrder, start: plan.start, ram: ram, map: map)
    }

    func apply(_ step: RingModel.Step) throws -> Bool {
        switch step {
        case .offer(let count): offer(count)
        case .considerKick: return bench.driver.kickIfWanted()
        case .reap:
            guard let done = try bench.driver.reap() else { return false }
            tokens.append(done.token)
            expect(done.written == written(Int(done.token)), "\(done.written) bytes written")
        case .armCall:
            guard bench.driver.armCall() else { return false }
            bench.driver.suppressCalls()
        case .wakeDriver: bench.driver.suppressCalls()
        case .take: return try take()
        case .complete(let place): complete(place)
        case .publish: return bench.publish()
        case .requestKicks:
            guard bench.requestKicks() else {
                isAsleep = true
                return false
            }
            bench.suppressKicks()
        case .wakeDevice: wake()
        }
        return true
    }

    /// Every chain has a buffer to read, which says its number; those of two have one to write.
    private func address(_ chain: Int) -> UInt64 { 0x8000 + UInt64(chain * 64) }
    private func written(_ chain: Int) -> UInt32 {
        plan.lengths[chain] == 2 ? UInt32(chain + 1) : 0
    }

    private func offer(_ count: Int) {
        for chain in offered..<offered + count {
            let address = address(chain)
            bench.driver.ram.write(Bytes.of(UInt64(chain)) + Bytes.of(UInt64(9)), at: address)
            var buffers = [DriverBuffer.readable(address, 16)]
            if plan.lengths[chain] == 2 { buffers.append(.writable(address + 32, 16)) }
            let number = bench.driver.offer(buffers, token: UInt64(chain))
            expect(number != nil, "no room for chain \(chain)")
        }
        offered += count
        bench.driver.publish()
    }

    private func take() throws -> Bool {
        guard let chain = try bench.hold() else { return false }
        let number = bench.buffers.readable.words(at: 0)?.0 ?? .max
        expect(number == UInt64(taken), "chain \(number), not \(taken)")
        expect(bench.buffers.writable.byteCount == (plan.lengths[taken] - 1) * 16, "room")
        numbers.append(taken)
        taken += 1
        held.append(chain)
        return true
    }

    private func wake() {
        isAsleep = false
        bench.suppressKicks()
    }

    private func complete(_ place: Int) {
        if isAsleep { wake() }
        held.remove(at: place).complete(written: written(numbers.remove(at: place)))
    }

    /// In what the ring is not as the model has it, if in anything.
    func difference(from model: RingModel) -> String? {
        if let trouble { return trouble }
        if bench.queue.violation != nil { return "\(bench.queue.violation, default: "")" }
        if bench.queue.inFlight != model.inFlight { return "\(bench.queue.inFlight) in flight" }
        if bench.queue.hasAvailable() != model.isAvailable { return "hasAvailable is wrong" }
        if tokens != model.used.prefix(model.reaped).map(UInt64.init) { return "got \(tokens)" }
        let base = plan.way.form.base(
            plan.start + UInt64(model.availablePosition(model.taken)), size: UInt16(plan.size))
        let isSplit = plan.way.form == .split
        // A packed ring's base has both positions.
        guard (bench.queue.vringBase ^ base) & (isSplit ? .max : 0xffff) == 0 else {
            return "base \(bench.queue.vringBase), not \(base)"
        }
        guard !isSplit else { return nil }
        let used = plan.way.form.base(
            plan.start + UInt64(model.usedPosition(model.used.count)), size: UInt16(plan.size))
        return bench.queue.vringBase >> 16 == used >> 16 ? nil : "used base, not \(used)"
    }

    /// Lets go of what is still in flight.
    func end() { held = [] }

    private func expect(_ isTrue: Bool, _ what: @autoclosure () -> String) {
        if !isTrue, trouble == nil { trouble = what() }
    }
}
