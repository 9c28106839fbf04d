import GuestMemory
import Host
import Randomness
import Testing
import VhostUserFrontend
import VirtioSpec
import Virtqueue

/// An inflight buffer for one ring of eight entries, whose words the test writes.
struct WrittenInflight {
    let file: SharedMemory.Box
    let buffer: InflightBuffer

    var words: Mapping { file.memory.mapping }

    init(entries: UInt16 = 8) throws {
        file = try SharedMemory.Box(SharedMemory(count: 4096, name: "inflight"))
        buffer = try InflightBuffer(
            file.memory.descriptor, offset: 0, byteCount: 4096, queueCount: 1, queueSize: entries)
        words.store16(1, at: 8)
        words.store16(entries, at: 10)
    }

    /// Split: an entry's mark, the entry after it, its number.
    func setSplit(_ head: Int, inFlight: UInt8, next: UInt16 = 0, counter: UInt64 = 0) {
        words.store8(inFlight, at: 16 + head * 16)
        words.store16(next, at: 16 + head * 16 + 6)
        words.store64(counter, at: 16 + head * 16 + 8)
    }

    /// Packed: a ring at its beginning with all entries free.
    func setPackedFresh() {
        words.store64(1 << 32 | 1 << 40, at: 16)
        for index in 0..<8 { words.store16(UInt16(index + 1), at: 32 + index * 32 + 2) }
    }

    /// Packed: a chain of `count` entries from `head` to `last` is in flight, and the free list
    /// begins at `free`.
    func setPacked(_ head: Int, last: UInt16, count: UInt16, free: UInt16) {
        words.store8(1, at: 32 + head * 32)
        words.store16(last, at: 32 + head * 32 + 4)
        words.store16(count, at: 32 + head * 32 + 6)
        words.store32(UInt32(free) | UInt32(free) << 16, at: 12)
    }
}

extension SharedMemory {
    final class Box {
        let memory: SharedMemory
        init(_ memory: consuming SharedMemory) { self.memory = memory }
    }
}

@Suite("An inflight region that can't be is found out, and costs its ring at most")
struct HostileInflightTests {
    private func violation(_ form: Form, _ inflight: WrittenInflight) throws -> QueueViolation? {
        let bench = try RingBench(form)
        try bench.restart(base: bench.driver.start, inflight: inflight.buffer)
        let taken = try bench.hold()
        #expect(taken == nil || bench.queue.violation == nil)
        return bench.queue.violation
    }

    @Test("Split: a batch longer than the ring")
    func batch() throws {
        let inflight = try WrittenInflight()
        inflight.words.store16(0xfff7, at: 14)
        #expect(try violation(.split, inflight) == .inflight(.batch(9)))
    }

    @Test("Split: a driver that makes available again what it has not been shown")
    func unshown() throws {
        let inflight = try WrittenInflight()
        let bench = try RingBench()
        try bench.restart(base: bench.driver.start, inflight: inflight.buffer)
        let data = bench.driver.ram.allocate(16)
        for token in UInt64(0)..<8 { _ = bench.driver.offer([.writable(data, 16)], token: token) }
        bench.driver.publish()
        for _ in 0..<8 { #expect(try bench.takeOne() != nil) }
        bench.makeAvailable(3)
        #expect(throws: QueueViolation.headInFlight(3)) { try bench.takeOne() }
        _ = bench.publish()
    }

    @Test("Split: a list of the last batch that comes back to itself", arguments: [0, 3, 7])
    func circle(head: UInt16) throws {
        let inflight = try WrittenInflight()
        inflight.words.store16(0xfffe, at: 14)
        inflight.words.store16(head, at: 12)
        inflight.setSplit(Int(head), inFlight: 1, next: head)
        #expect(try violation(.split, inflight) == .inflight(.list))
    }

    @Test("Split: a list that leaves the region", arguments: [8, 9, 0xffff] as [UInt16])
    func listOutside(head: UInt16) throws {
        let inflight = try WrittenInflight()
        inflight.words.store16(0xffff, at: 14)
        inflight.words.store16(head, at: 12)
        #expect(try violation(.split, inflight) == .inflight(.list))
    }

    @Test("Split: a descriptor in flight that the ring does not have")
    func markOutside() throws {
        let inflight = try WrittenInflight(entries: 16)
        inflight.setSplit(8, inFlight: 1)
        #expect(try violation(.split, inflight) == .inflight(.count))
    }

    @Test("Split: chains come in the order of their numbers, whatever these are")
    func order() throws {
        let inflight = try WrittenInflight()
        let bench = try RingBench(.split)
        let place = bench.driver.ram.allocate(128)
        for token in 0..<4 as Range<UInt64> {
            _ = bench.driver.offer([.readable(place + token * 16, 16)], token: token)
        }
        bench.driver.publish()
        for (head, counter) in ([3, .max, 0, 1 << 63] as [UInt64]).enumerated() {
            inflight.setSplit(head, inFlight: 255, counter: counter)
        }
        try bench.restart(base: 0, inflight: inflight.buffer)
        var heads: [UInt16] = []
        while let held = try bench.hold() {
            heads.append(held.head)
            held.complete(written: 0)
        }
        #expect(heads == [2, 0, 3, 1])
        #expect(bench.queue.vringBase == 4)
    }

    @Test("Packed: a ring at its beginning with nothing in flight is fine")
    func packedFresh() throws {
        let inflight = try WrittenInflight()
        inflight.setPackedFresh()
        #expect(try violation(.packed, inflight) == nil)
    }

    @Test("Packed: a free list that goes in a circle, or leaves entries out")
    func freeList() throws {
        let inflight = try WrittenInflight()
        inflight.setPackedFresh()
        inflight.words.store16(2, at: 32 + 5 * 32 + 2)
        #expect(try violation(.packed, inflight) == .inflight(.list))
        inflight.words.store16(7, at: 32 + 5 * 32 + 2)
        #expect(try violation(.packed, inflight) == .inflight(.count))
    }

    @Test(
        "Packed: a chain that is longer than it says, shorter, or meets the free list",
        arguments: [(1, 1, 2), (2, 3, 3), (3, 2, 2), (9, 2, 3), (0xffff, 2, 3), (0, 2, 3)]
            as [(UInt16, UInt16, UInt16)])
    func chain(count: UInt16, last: UInt16, free: UInt16) throws {
        let inflight = try WrittenInflight()
        inflight.setPackedFresh()
        inflight.setPacked(0, last: last, count: count, free: free)
        let found = try violation(.packed, inflight)
        #expect(found == .inflight(.list) || found == .inflight(.count))
    }

    @Test("Packed: more in flight than the ring has descriptors")
    func tooMany() throws {
        let inflight = try WrittenInflight(entries: 16)
        for index in 0..<16 { inflight.words.store16(UInt16(index + 1), at: 32 + index * 32 + 2) }
        inflight.words.store64(1 << 32 | 1 << 40, at: 16)
        inflight.setPacked(0, last: 8, count: 9, free: 9)
        #expect(try violation(.packed, inflight) == .inflight(.count))
    }

    @Test("Packed: a used position past the ring's end", arguments: [0, 16])
    func position(shift: UInt64) throws {
        let inflight = try WrittenInflight()
        inflight.setPackedFresh()
        inflight.words.store64(8 << shift | 1 << 32 | 1 << 40, at: 16)
        #expect(throws: InflightFault.position(8)) { try violation(.packed, inflight) }
    }

    @Test(
        "Bytes of chance trap nothing and give nobody more than the ring has",
        arguments: Form.allCases)
    func chance(form: Form) throws {
        var random = Seeded()
        let ram = try GuestRAM(byteCount: 64 << 10)
        let map = try RingBench.map(ram)
        var latched = 0
        for turn in 0..<3000 {
            ram.reset()
            ram.fill(0, count: 16 << 10, at: 0)
            let bench = try RingBench(form, ram: ram, map: map)
            let inflight = try WrittenInflight()
            inflight.words.store16(0, at: 8)
            try bench.restart(base: bench.driver.start, inflight: inflight.buffer)
            for token in 0..<UInt64.random(in: 0...8, using: &random) {
                _ = bench.driver.offer([.writable(0x4000 + token * 16, 16)], token: token)
            }
            bench.driver.publish()
            for _ in 0..<Int.random(in: 0...8, using: &random) {
                guard let chain = try bench.queue.next(&bench.memory, &bench.buffers) else { break }
                if random.next() % 3 == 0 {
                    bench.queue.complete(chain, written: 1)
                    if random.next() % 2 == 0 { _ = bench.publish() }
                } else {
                    bench.queue.leave(chain)
                }
            }
            // The header, in half of the turns, is left alone.
            let first = turn % 2 == 0 ? 12 : 0
            for _ in 0..<Int.random(in: 1...12, using: &random) {
                let place = Int.random(in: first..<300, using: &random)
                inflight.words.store8(UInt8.random(in: 0...9, using: &random), at: place)
            }
            do {
                try bench.restart(base: bench.driver.start, inflight: inflight.buffer)
            } catch is InflightFault { continue }
            var count = 0
            do throws(QueueViolation) {
                while let held = try bench.hold() {
                    count += 1
                    held.complete(written: 0)
                    if count > 16 { break }
                }
            } catch { latched += 1 }
            _ = bench.publish()
            #expect(count <= 16, "\(random.note)")
        }
        print("\(form): \(latched) rings latched, \(random.note)")
    }
}
