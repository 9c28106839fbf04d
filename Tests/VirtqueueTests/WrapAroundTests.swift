import GuestMemory
import Host
import Randomness
import Testing
import VhostUserFrontend
import VirtioSpec
import Virtqueue

@Suite("The free-running indices turn around without losing anything")
struct WrapAroundTests {
    @Test(
        "Thousands of chains, in batches and an order of chance, all come back once",
        arguments: [1, 2, 4, 256] as [UInt16], [65_530, 0xffff] as [UInt64])
    func thousands(size: UInt16, start: UInt64) throws {
        for way in Way.all { try Self.pass(way, size: size, start: start) }
    }

    @Test(
        "A packed ring may have any size",
        arguments: [3, 5, 6, 7, 100, 255] as [UInt16], [0, 2, 65_530] as [UInt64])
    func anySize(size: UInt16, start: UInt64) throws {
        for way in Way.all where way.form == .packed {
            try Self.pass(way, size: size, start: start)
        }
    }

    private static func pass(_ way: Way, size: UInt16, start: UInt64) throws {
        var traffic = try Traffic(way, size: size, start: start, chains: 2000)
        try traffic.run()
        let note: Comment = "\(way.testDescription), \(traffic.random.note)"
        if !way.inOrder { #expect(traffic.reaped == traffic.completed, note) }
        let tokens = traffic.reaped.map(\.token)
        #expect((way.inOrder ? tokens : tokens.sorted()) == Array(0..<2000), note)
        let byToken = traffic.completed.sorted { $0.token < $1.token }
        #expect(traffic.reaped.sorted { $0.token < $1.token } == byToken, note)
        #expect(traffic.misread == 0, note)
        #expect(traffic.headsShared == 0, note)
        let bench = traffic.bench
        #expect(bench.queue.inFlight == 0, note)
        // A split ring counts chains, a packed one descriptors.
        let steps = way.form == .split ? 2000 : traffic.descriptors
        #expect(bench.queue.vringBase == way.form.base(start + steps, size: size), note)
    }

    @Test(
        "A queue goes on where another stopped, with chains of the other's still out",
        arguments: Form.allCases)
    func restart(form: Form) throws {
        let bench = try RingBench(form, size: 8, start: 65_533)
        let data = bench.driver.ram.allocate(64)
        for token in 0..<8 as Range<UInt64> {
            _ = bench.driver.offer([.writable(data, 16)], token: token)
        }
        bench.driver.publish()
        // Six taken, of which two come back: used and available indices are four apart.
        let held = try (0..<6).map { _ in try #require(try bench.hold()) }
        held[4].complete(written: 4)
        held[1].complete(written: 1)
        _ = bench.publish()
        try bench.restart(base: bench.queue.vringBase)
        #expect(try #require(try bench.takeOne(written: 6)) == (0, 16))
        #expect(try #require(try bench.takeOne(written: 7)) == (0, 16))
        #expect(try bench.takeOne() == nil)
        _ = bench.publish()
        let tokens = try (0..<4).map { _ in try #require(try bench.driver.reap()).token }
        #expect(tokens == [4, 1, 6, 7])
        withExtendedLifetime(held) {}
    }

    @Test("A moved ring carries on in the new snapshot of memory", arguments: Form.allCases)
    func moved(form: Form) throws {
        let bench = try RingBench(form, start: 0xffff)
        let data = bench.driver.ram.allocate(64)
        _ = bench.driver.offer([.writable(data, 16)], token: 1)
        bench.driver.publish()
        let held = try #require(try bench.hold())
        try bench.queue.move(
            to: RingBench.map(bench.driver.ram), RingBench.addresses(bench.driver), size: 8)
        _ = bench.driver.offer([.writable(data, 16)], token: 2)
        bench.driver.publish()
        #expect(try #require(try bench.takeOne(written: 2)) == (0, 16))
        held.complete(written: 1)
        #expect(bench.publish())
        #expect(try #require(try bench.driver.reap()) == (2, 2))
        #expect(try #require(try bench.driver.reap()) == (1, 1))
    }
}

/// Chains of chance through one ring, and what each side saw of them.
private struct Traffic {
    struct Done: Equatable {
        let token: UInt64
        let written: UInt32
    }

    let bench: RingBench
    private(set) var random = Seeded()
    /// In the order in which the device gave them back, and in which the driver got them.
    private(set) var completed: [Done] = []
    private(set) var reaped: [Done] = []
    /// Chains whose data were not what the driver had put there.
    private(set) var misread = 0
    /// Chains whose head another one in flight had.
    private(set) var headsShared = 0

    private var held: [(chain: Held, token: UInt64, room: Int)] = []
    /// 32 bytes for each chain.
    private let data: UInt64
    private let chains: UInt64
    private var offered: UInt64 = 0
    /// Of all chains offered.
    private(set) var descriptors: UInt64 = 0

    init(_ way: Way, size: UInt16, start: UInt64, chains: UInt64) throws {
        bench = try RingBench(
            way.form, size: size, eventIndex: way.eventIndex, inOrder: way.inOrder, start: start)
        data = bench.driver.ram.allocate(Int(chains) * 32)
        self.chains = chains
    }

    mutating func run() throws {
        // Each turn moves something with a good chance; the bound is far from what it takes.
        for _ in 0..<chains * 100 where reaped.count < chains {
            offer()
            try take()
            complete()
            if Bool.random(using: &random) { _ = bench.publish() }
            try reap()
        }
    }

    /// A batch of chance: chains of one to three buffers.
    private mutating func offer() {
        let driver = bench.driver
        for _ in 0..<batch() where offered < chains {
            let place = data + offered * 32
            driver.ram.write(Bytes.of(offered) + Bytes.of(~offered), at: place)
            let buffers: [DriverBuffer] = [
                .readable(place, 16), .writable(place + 16, 8), .writable(place + 28, 4),
            ]
            // As many as the ring has room for at all.
            let count = min(Int(driver.size), Int.random(in: 1...3, using: &random))
            guard driver.offer(Array(buffers.prefix(count)), token: offered) != nil else { break }
            offered += 1
            descriptors += UInt64(count)
        }
        if Bool.random(using: &random) { driver.publish() }
    }

    private mutating func take() throws {
        for _ in 0..<batch() {
            guard let chain = try bench.hold() else { return }
            let words = bench.buffers.readable.words(at: 0) ?? (0, 0)
            if words.0 != ~words.1 { misread += 1 }
            if held.contains(where: { $0.chain.head == chain.head }) { headsShared += 1 }
            held.append((chain, words.0, bench.buffers.writable.byteCount))
        }
    }

    private mutating func complete() {
        for _ in 0..<min(batch(), held.count) {
            let (chain, token, room) = held.remove(at: Int.random(in: held.indices, using: &random))
            let written = UInt32(Int.random(in: 0...room, using: &random))
            chain.complete(written: written)
            completed.append(Done(token: token, written: written))
        }
    }

    private mutating func reap() throws {
        for _ in 0..<batch() {
            guard let done = try bench.driver.reap() else { return }
            reaped.append(Done(token: done.token, written: done.written))
        }
    }

    /// Seldom the whole ring, never more.
    private mutating func batch() -> Int {
        Int.random(in: 0...Int(bench.driver.size), using: &random)
    }
}
