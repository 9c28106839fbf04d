import Glibc
import GuestMemory
import Host
import Randomness
import Synchronization
import Testing
import VhostUserFrontend
import VirtioSpec
import Virtqueue

@Suite("A driver that rewrites everything while the device reads it harms nobody but itself")
struct RacingDriverTests {
    @Test(
        "What is judged is what is used: every accepted buffer is the guest's",
        arguments: [1, 16, 256] as [UInt16], Way.all)
    func racing(size: UInt16, way: Way) throws {
        // Two regions that touch, and a gap: nonsense has borders to find.
        let ram = try GuestRAM([
            .init(guestAddress: 0, byteCount: 0x2_0000),
            .init(guestAddress: 0x2_0000, byteCount: 0x1000),
            .init(guestAddress: 0x2_2000, byteCount: 0x1000),
        ])
        let bench = try RingBench(
            way.form, size: size, eventIndex: way.eventIndex, inOrder: way.inOrder, ram: ram)
        let nonsense = Nonsense(bench.driver, way.form)
        let (memory, used, _) = bench.driver.ram.place(bench.driver.used)
        let isOver = Atomic<Bool>(false)
        let turns = Atomic<Int>(0)
        let random = Seeded()
        let thread = try Thread(name: "nonsense") {
            var random = random
            while !isOver.load(ordering: .relaxed) {
                nonsense.write(&random)
                turns.add(1, ordering: .relaxed)
            }
        }
        var counts = Counts()
        // Until both have done enough; the bound is far beyond that.
        for _ in 0..<500_000
        where counts.accepted < 300 || counts.refused < 1000
            || turns.load(ordering: .relaxed) < 3000
        {
            let turn = turns.load(ordering: .relaxed)
            // In order, a device goes on from what was used.
            if way.form == .split { memory.store16(0, at: used + 2) }
            try bench.restart(base: way.form.base(0, size: size))
            counts.drain(bench)
            // What was judged once is judged the same again, until the other thread gets to run.
            while turns.load(ordering: .relaxed) == turn { sched_yield() }
        }
        isOver.store(true, ordering: .relaxed)
        thread.join()
        #expect(counts.accepted >= 300, "\(random.note)")
        #expect(counts.refused >= 1000, "\(random.note)")
        #expect(counts.lost == 0, "\(random.note)")
    }
}

private struct Counts {
    var accepted = 0
    var refused = 0
    /// Chains taken and not to be given back.
    var lost = 0

    /// Takes what it can until the ring breaks, and writes to all that it is given.
    mutating func drain(_ bench: RingBench) {
        var held: [Held] = []
        for _ in 0..<64 {
            do {
                guard let chain = try bench.hold() else { break }
                accepted += 1
                held.append(chain)
                touch(bench)
            } catch {
                refused += 1
                break
            }
            if held.count > 3 { held.removeFirst().complete(written: 1) }
            if accepted % 3 == 0 { _ = bench.publish() }
            _ = bench.requestKicks()
        }
        for chain in held { chain.complete(written: 0) }
        _ = bench.publish()
        lost += bench.queue.inFlight
    }

    private func touch(_ bench: RingBench) {
        // Memory outside would end the process.
        bench.buffers.writable.clear()
        let count = bench.buffers.readable.byteCount
        for offset in stride(from: 0, to: count - 15, by: 16) {
            _ = bench.buffers.readable.words(at: offset)
        }
    }
}

/// Words of chance for a ring and for the tables that its descriptors name.
private struct Nonsense: Sendable {
    private let memory: Mapping
    private let form: Form
    private let size: Int
    private let descriptors: Int
    private let available: Int

    init(_ driver: DriverQueue, _ form: Form) {
        self.form = form
        size = Int(driver.size)
        (memory, descriptors, _) = driver.ram.place(driver.descriptors)
        (_, available, _) = driver.ram.place(driver.available)
    }

    func write(_ random: inout Seeded) {
        for _ in 0..<8 { writeDescriptor(at: slot(&random) * 16 + descriptors, &random) }
        for _ in 0..<8 {
            writeDescriptor(at: 0x1_8000 + Int.random(in: 0..<64, using: &random) * 16, &random)
        }
        // The driver's event suppression structure.
        if form == .packed { return memory.store64(random.next(), at: available) }
        // A head is wrong now and then only. The index is right for a device that began at 0, until
        // that has taken something.
        let head = UInt16.random(in: 0..<UInt16(size + 1), using: &random)
        memory.store16(head, at: available + 4 + slot(&random) * 2)
        let index = UInt16.random(in: 1...UInt16(size), using: &random)
        memory.store16(index, at: available + 2)
    }

    private func slot(_ random: inout Seeded) -> Int {
        Int.random(in: 0..<size, using: &random)
    }

    private func writeDescriptor(at offset: Int, _ random: inout Seeded) {
        let addresses: [UInt64] = [
            0x1_8000, 0x1_8010, 0x1_f000, 0x1_fff9, 0x2_0ff0, 0x2_1000, 0x2_2000, 0x2_2ff0,
            0xffff_ffff_ffff_fff0,
        ]
        let lengths: [UInt64] = [0, 1, 16, 16, 32, 64, 64, 100, 0x1000, 0xffff_fff0]
        let flags: [UInt64] = [0, 0, 1, 1, 2, 2, 3, 4, 4, 5, 6, 7]
        let next = UInt64.random(in: 0...UInt64(size), using: &random)
        let address = addresses.randomElement(using: &random) ?? 0
        let length = lengths.randomElement(using: &random) ?? 0
        let flag = flags.randomElement(using: &random) ?? 0
        memory.store64(address, at: offset)
        // A packed descriptor's id is where the flags are else. Its marks are right more often
        // than not for a device that began at 0; in tables they say nothing.
        let marks: UInt64 = Int.random(in: 0..<8, using: &random) == 0 ? 0 : 0x80
        let rest = form == .split ? flag | next << 16 : next | (flag | marks) << 16
        memory.store64(length | rest << 32, at: offset + 8)
    }
}
