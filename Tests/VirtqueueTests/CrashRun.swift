import CStoreTrace
import GuestMemory
import Host
import Testing
import VhostUserFrontend
import VirtioSpec
import Virtqueue

/// A ring whose device may end after any of its stores.
struct CrashPlan: Sendable, CustomStringConvertible {
    var form: Form
    var inOrder: Bool
    /// Chains offered, and given back, at once.
    var batch: Int

    var size: UInt16 { form == .split ? 8 : 7 }
    /// Where the indices begin: just before they wrap.
    var start: UInt64 { form == .split ? 0xfffd : UInt64(2 * size - 2) }

    static let all: [CrashPlan] = Form.allCases.flatMap { form in
        [false, true].flatMap { inOrder in
            (1...4).map { CrashPlan(form: form, inOrder: inOrder, batch: $0) }
        }
    }

    var description: String { "\(form)\(inOrder ? " in order" : ""), batches of \(batch)" }
}

/// A driver, and devices that follow each other. What the driver offered comes back once, whatever
/// becomes of them.
final class CrashRun {
    private let plan: CrashPlan
    private let memory: CrashMemory
    let bench: RingBench
    private var taken: [Taken] = []
    private var offered = 0
    private var reaped: [UInt64] = []
    private(set) var trouble: String?

    /// On memory that is used again and again.
    init(_ plan: CrashPlan, _ memory: CrashMemory) throws {
        self.plan = plan
        self.memory = memory
        memory.clear()
        bench = try RingBench(
            plan.form, size: plan.size, inOrder: plan.inOrder, start: plan.start, ram: memory.ram,
            map: memory.map)
    }

    deinit { forget() }

    /// The first device's life, up to store number `stop`. Returns whether it got there.
    func live(until stop: Int) throws -> Bool {
        store_trace_begin(stop)
        defer { _ = store_trace_end() }
        try bench.restart(
            base: plan.form.base(plan.start, size: plan.size), inflight: memory.buffer)
        for round in 0..<5 where !isOver {
            offer(plan.batch)
            try breathe(atOnce: round == 3, keeping: round == 4 ? 0 : 1)
            if !isOver { try reap() }
        }
        return isOver
    }

    private var isOver: Bool { store_trace_reached() != 0 }

    /// Takes all there is, gives it back in another order, and shows the driver.
    private func breathe(atOnce: Bool, keeping count: Int) throws {
        while !isOver, let chain = try take() {
            taken.append(chain)
            if atOnce { complete(taken.count - 1) }
        }
        while !isOver, taken.count > count {
            // In order the oldest must go, or none does.
            complete(plan.inOrder ? taken.count > count + 1 ? 1 : 0 : taken.count - 1)
        }
        if !isOver { _ = bench.publish() }
    }

    private func take() throws -> Taken? {
        guard let chain = try bench.queue.next(&bench.memory, &bench.buffers) else { return nil }
        return Taken(chain, number: bench.buffers.readable.words(at: 0)?.0 ?? .max)
    }

    private func complete(_ place: Int) {
        let done = taken.remove(at: place)
        guard let chain = done.chain.take() else { return }
        bench.queue.complete(chain, written: Self.written(done.number))
    }

    /// Every chain has a buffer to read, which says its number; most have one to write.
    private func offer(_ count: Int) {
        for _ in 0..<count {
            let address = 0x8000 + UInt64(offered % 64 * 64)
            bench.driver.ram.write(
                Bytes.of(UInt64(offered)) + Bytes.of(UInt64(9)), at: address)
            var buffers = [DriverBuffer.readable(address, 16)]
            if offered % 3 != 0 { buffers.append(.writable(address + 32, 16)) }
            guard bench.driver.offer(buffers, token: UInt64(offered)) != nil else { break }
            offered += 1
        }
        bench.driver.publish()
    }

    private static func written(_ number: UInt64) -> UInt32 {
        number % 3 == 0 ? 0 : UInt32(number % 16 + 1)
    }

    private func reap() throws {
        while let done = try bench.driver.reap() {
            expect(done.written == Self.written(done.token), "\(done.written) bytes written")
            reaped.append(done.token)
        }
    }

    /// Memory as it was after the last store, and nothing else.
    func die() {
        forget()
        expect(store_trace_restore() == 0, "no store was the last")
    }

    private func forget() {
        for each in taken { if let chain = each.chain.take() { bench.queue.leave(chain) } }
        taken = []
    }

    /// The next device's beginning, up to store number `stop`. Returns whether it got there.
    func recover(until stop: Int) throws -> Bool {
        store_trace_begin(stop)
        defer { _ = store_trace_end() }
        try recover()
        return isOver
    }

    /// The next device's beginning, with the base that a front-end knows whose back-end has died.
    func recover() throws {
        let base =
            plan.form == .split
            ? UInt32(bench.split.usedIndex()) : plan.form.base(plan.start, size: plan.size)
        try bench.restart(base: base, inflight: memory.buffer)
        expect(bench.queue.violation == nil, "\(bench.queue.violation, default: "")")
    }

    /// All that was left is done, in its order, and the ring goes on as if nothing had been.
    func finish() throws {
        var last: UInt64?
        while let chain = try take() {
            expect(last ?? 0 < chain.number || last == nil, "\(chain.number) after \(last ?? 0)")
            last = chain.number
            taken.append(chain)
        }
        for _ in 0..<2 {
            while !taken.isEmpty {
                complete(taken.count / 2)
                if taken.count % 2 == 0 { _ = bench.publish() }
                try reap()
            }
            _ = bench.publish()
            try reap()
            expect(reaped.sorted() == (0..<UInt64(offered)).map { $0 }, "got \(reaped)")
            offer(Int(plan.size))
            while let chain = try take() { taken.append(chain) }
        }
    }

    private func expect(_ isTrue: Bool, _ what: @autoclosure () -> String) {
        if !isTrue, trouble == nil { trouble = what() }
    }
}

/// A chain in flight.
private final class Taken {
    let number: UInt64
    var chain: Chain?

    init(_ chain: consuming Chain, number: UInt64) {
        self.number = number
        self.chain = consume chain
    }
}

/// The guest's memory and the inflight buffer, whose stores are traced where the device has them.
final class CrashMemory {
    let ram: GuestRAM
    let map: GuestMap
    let buffer: InflightBuffer
    private let file: SharedMemory

    init(queueSize: UInt16) throws {
        ram = try GuestRAM(byteCount: 48 << 10)
        map = try RingBench.map(ram)
        file = try SharedMemory(count: 4096, name: "inflight", sealed: true)
        buffer = try InflightBuffer(
            file.descriptor, offset: 0, byteCount: 4096, queueCount: 1, queueSize: queueSize)
        for mapping in map.allMappings + [buffer.memory] {
            #expect(unsafe store_trace_add(mapping.baseAddress, mapping.count) == 0)
        }
    }

    func clear() {
        ram.reset()
        ram.fill(0, count: 48 << 10, at: 0)
        file.mapping.fill(0, at: 0, count: 4096)
    }

    deinit { store_trace_clear() }
}
