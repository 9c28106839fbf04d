import Host
import Randomness
import Testing
import VhostUserFrontend
import Virtqueue

@Suite("Nothing depends on where the indices stand, or on how often they have turned around")
struct LongRunTests {
    @Test("From every place near a turn the same steps have the same outcome", arguments: Way.all)
    func startingPoints(way: Way) throws {
        // Near the turns of an index of 16 bits, and of a packed ring's rounds of 2 * 256.
        let turns: [UInt64] = [0x0000, 0x7fff, 0x8000, 0xffff, 0xff00, 0xfeff, 0x0100, 0x1ff]
        for seed in 1...3 as ClosedRange<UInt64> {
            let traces = try turns.map { start in
                var run = try Run(way, start: start)
                return try run.pass(chains: 1500, seed: seed)
            }
            #expect(Set(traces).count == 1, "seed \(seed): \(traces)")
        }
    }

    @Test("Each turn of an index of 16 bits goes as the one before", arguments: Form.allCases)
    func turns(form: Form) throws {
        var run = try Run(Way(form: form, eventIndex: true), start: 0xff80)
        var traces: [UInt64] = []
        for _ in 0..<3 { traces.append(try run.pass(chains: 65_536, seed: 7)) }
        print("\(form): \(run.passed) chains through a ring of 256")
        #expect(Set(traces).count == 1, "\(traces)")
        #expect(run.passed == 3 * 65_536)
    }
}

/// Chains of one descriptor through a ring of 256, with both sides' steps by a seed.
private struct Run {
    private let bench: RingBench
    private let data: UInt64
    private(set) var passed = 0
    private var trace: UInt64 = 0

    init(_ way: Way, start: UInt64) throws {
        bench = try RingBench(
            way.form, size: 256, eventIndex: way.eventIndex, inOrder: way.inOrder, start: start)
        data = bench.driver.ram.allocate(16)
        // What an event of zero means depends on where the ring is: both say what they want.
        _ = bench.requestKicks()
        _ = bench.driver.armCall()
    }

    /// Lets chains through until the ring is empty again. Returns a digest of all that both sides
    /// were told on the way.
    mutating func pass(chains: Int, seed: UInt64) throws -> UInt64 {
        var random = Seeded(seed: seed)
        var held: [Held] = []
        var offered = 0
        var reaped = 0
        trace = 0
        while reaped < chains {
            for _ in 0..<Int.random(in: 0...64, using: &random) where offered < chains {
                let token = UInt64(offered)
                guard bench.driver.offer([.writable(data, 16)], token: token) != nil else { break }
                offered += 1
            }
            note(bench.driver.submit() ? 1 : 0)
            for _ in 0..<Int.random(in: 0...64, using: &random) {
                guard let chain = try bench.hold() else { break }
                held.append(chain)
            }
            for _ in 0..<Int.random(in: 0...64, using: &random) where !held.isEmpty {
                let place = held.indices.randomElement(using: &random) ?? 0
                held.remove(at: place).complete(written: UInt32(place % 17))
            }
            note(bench.publish() ? 1 : 0)
            if Bool.random(using: &random) { note(bench.requestKicks() ? 1 : 0) }
            for _ in 0..<Int.random(in: 0...64, using: &random) {
                guard let done = try bench.driver.reap() else { break }
                note(done.token << 8 | UInt64(done.written))
                reaped += 1
            }
            if Bool.random(using: &random) { note(bench.driver.armCall() ? 1 : 0) }
            note(UInt64(bench.queue.inFlight))
        }
        passed += reaped
        #expect(bench.queue.inFlight == 0)
        // As it began.
        _ = bench.requestKicks()
        _ = bench.driver.armCall()
        return trace
    }

    private mutating func note(_ value: UInt64) {
        trace = (trace ^ value) &* 0x0000_0100_0000_01b3 &+ 1
    }
}
