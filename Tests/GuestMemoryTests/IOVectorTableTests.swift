import Randomness
import Testing

@testable import Host

@Suite("Lists that outlive their maker are kept slot by slot, short ones and long ones")
struct IOVectorTableTests {
    // Short lists lie beside their neighbours, longer ones elsewhere.
    static let counts = [0, 1, 2, 7, 8, 9, 16, 17, 63, 64]

    @Test("A slot holds what was stored, whatever its neighbours hold", arguments: counts)
    func neighbours(count: Int) throws {
        let slots = try Slots(count: 4, capacity: 64)
        for slot in [1, 3, 0, 2] { slots.store(64 - slot, in: slot) }
        for slot in [2, 0, 3, 1] { slots.store(slot == 2 ? count : 8 + slot, in: slot) }
        #expect((0..<4).map { slots.held($0) } == (0..<4).map { slots.expected[$0] })
        #expect(slots.held(2).count == count * 3)
    }

    @Test("What is done is forgotten, in steps that cut buffers or end with one", arguments: counts)
    func advance(count: Int) throws {
        var random = Seeded()
        let slots = try Slots(count: 3, capacity: 64)
        for slot in 0..<3 { slots.store(slot == 1 ? count : 64, in: slot) }
        for _ in 0..<200 where !slots.expected[1].isEmpty {
            let step = Int.random(in: 0...11, using: &random)
            slots.advance(1, by: step)
            #expect(slots.held(1) == slots.expected[1], "\(random.note)")
        }
        #expect(slots.held(1).isEmpty, "\(random.note)")
        #expect(slots.held(0) == slots.expected[0])
        #expect(slots.held(2) == slots.expected[2])
    }

    @Test("More than there is may be done; then nothing is left", arguments: counts)
    func advancePastTheEnd(count: Int) throws {
        let slots = try Slots(count: 2, capacity: 64)
        slots.store(count, in: 1)
        slots.advance(1, by: Int.max)
        #expect(slots.held(1).isEmpty)
        slots.store(5, in: 1)
        #expect(slots.held(1) == slots.expected[1])
    }

    @Test("One call takes 1024 buffers; the rest comes when those are done")
    func longest() throws {
        let slots = try Slots(count: 2, capacity: 2560)
        slots.store(2560, in: 1)
        let all = slots.expected[1]
        for part in 0..<3 {
            let left = all.dropFirst(part * 1024 * 3)
            #expect(slots.held(1) == Array(left.prefix(1024 * 3)), "call \(part)")
            slots.advance(1, by: 1024 * 3)
        }
        #expect(slots.held(1).isEmpty)
    }

    @Test("A slot touches a mapping until its bytes there are done", arguments: [1, 8, 9, 64])
    func touches(count: Int) throws {
        let slots = try Slots(count: 2, capacity: 64)
        let other = try Mapping.anonymous(count: 4096)
        slots.store(count, in: 1)
        #expect(slots.table.touches(1, slots.memory) == true)
        #expect(slots.table.touches(1, other) == false)
        #expect(slots.table.touches(0, slots.memory) == false)
        slots.advance(1, by: count * 3 - 1)
        #expect(slots.table.touches(1, slots.memory) == true)
        slots.advance(1, by: 1)
        #expect(slots.table.touches(1, slots.memory) == false)
    }
}

/// A table, and for each slot the bytes that its list should hold.
private final class Slots {
    let memory: Mapping
    var table: IOVectorTable
    private(set) var expected: [[UInt8]]
    private let capacity: Int

    init(count: Int, capacity: Int) throws {
        self.capacity = capacity
        table = try IOVectorTable(slots: count, capacity: capacity)
        memory = try Mapping.anonymous(count: count * capacity * 5)
        var random = Seeded()
        let bytes = (0..<memory.count).map { _ in UInt8.random(in: 0...255, using: &random) }
        memory.write(bytes.span, at: 0)
        expected = Array(repeating: [], count: count)
    }

    /// `count` buffers of 3 bytes, 5 apart.
    func store(_ count: Int, in slot: Int) {
        var list = IOVectors(capacity: capacity)
        expected[slot] = []
        for place in 0..<count {
            let offset = (slot * capacity + place) * 5
            _ = list.append(memory, at: offset, count: 3)
            expected[slot] += memory.bytes(at: offset, count: 3)
        }
        table.store(list, in: slot)
    }

    func advance(_ slot: Int, by bytes: Int) {
        table.advance(slot, by: bytes)
        expected[slot].removeFirst(min(bytes, expected[slot].count))
    }

    /// What the kernel would find in `slot`.
    func held(_ slot: Int) -> [UInt8] {
        let (vectors, count) = unsafe table.vectors(slot)
        return (0..<Int(count)).flatMap { place in
            unsafe Array(
                UnsafeRawBufferPointer(
                    start: vectors[place].iov_base, count: vectors[place].iov_len))
        }
    }
}
