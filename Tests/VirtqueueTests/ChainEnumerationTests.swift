import GuestMemory
import Testing
import VhostUserFrontend
import VirtioSpec
import Virtqueue

@Suite("Every chain that a small ring can hold is judged as the specification has it")
struct ChainEnumerationTests {
    @Test("Every chain of a split ring", arguments: [1, 2, 4] as [UInt16])
    func split(size: UInt16) throws {
        let trial = try Trial(.split, size: size)
        let heads = size < 4 ? Array(0...size) : [0, size]
        let choices = Exhaustive()
        while choices.begin() {
            let oracle = trial.oracle(choices, longestTable: 2)
            // The head that is in flight already, if one is.
            let held = choices.below(size < 4 ? Int(size) + 1 : 2)
            let holding: UInt16? = held == 0 ? nil : UInt16(held - 1)
            let head = choices.element(of: heads)
            oracle.held = holding
            let verdict = oracle.judgeSplit(head: head)
            try trial.runSplit(oracle, head: head, verdict)
        }
        trial.report("split ring of \(size)", choices)
    }

    @Test("Every chain of a packed ring", arguments: [1, 2, 3] as [UInt16])
    func packed(size: UInt16) throws {
        let trial = try Trial(.packed, size: size)
        let starts = size < 3 ? Array(0..<2 * Int(size)) : [0, 2, 5]
        let choices = Exhaustive()
        while choices.begin() {
            let oracle = trial.oracle(choices, longestTable: size < 3 ? 2 : 1)
            // A chain in flight before it, of so many descriptors, under some id; and the position.
            let length = choices.below(min(Int(size), 3))
            if length > 0 { oracle.held = UInt16(choices.below(Int(size))) }
            let start = choices.element(of: starts)
            let position = start + length
            let verdict = oracle.judgePacked(
                at: position % Int(size), wrap: position / Int(size) % 2 == 0,
                room: Int(size) - length)
            try trial.runPacked(oracle, start: UInt64(start), length: length, verdict)
        }
        trial.report("packed ring of \(size)", choices)
    }
}

/// A ring into which chosen chains are put, one after the other, each for a device of its own.
private final class Trial {
    private let bench: RingBench
    private let size: Int
    private let data: UInt64
    private let table: UInt64
    private var accepted = 0
    private var refused = 0
    private var wrong = 0

    init(_ form: Form, size: UInt16) throws {
        bench = try RingBench(form, size: size)
        self.size = Int(size)
        data = bench.driver.ram.allocate(4096, alignment: 4096)
        table = bench.driver.ram.allocate(4096, alignment: 4096)
    }

    func oracle(_ choices: Exhaustive, longestTable: Int) -> ChainOracle {
        ChainOracle(
            choices, size: size, data: data, table: table, longestTable: longestTable)
    }

    func report(_ name: String, _ choices: Exhaustive) {
        print("\(name): \(choices.cases) chains, \(accepted) good, \(refused) refused")
        #expect(wrong == 0)
        #expect(accepted > 0 && refused > 0)
    }

    func runSplit(_ oracle: ChainOracle, head: UInt16, _ verdict: ChainOracle.Verdict) throws {
        let driver = bench.split
        // The last index before zero, unless a chain in flight takes that.
        driver.setAvailableIndex(0xffff)
        driver.setUsedIndex(0xffff)
        try bench.restart(base: 0xffff)
        var held: Held?
        if let head = oracle.held {
            driver.setDescriptor(head, Descriptor(address: data, length: 16, flags: Flag.write))
            bench.makeAvailable(head)
            held = try bench.hold()
        }
        for index in 0..<size {
            let piece = oracle.ring[index] ?? Self.poison
            driver.setDescriptor(UInt16(index), piece.split)
        }
        writeTable(oracle) { $0.split }
        bench.makeAvailable(head)
        check(oracle, verdict)
        held?.complete(written: 0)
    }

    func runPacked(
        _ oracle: ChainOracle, start: UInt64, length: Int, _ verdict: ChainOracle.Verdict
    ) throws {
        let driver = bench.packed
        try bench.restart(base: Form.packed.base(start, size: UInt16(size)))
        var held: Held?
        for place in 0..<length {
            let flags = Flag.write | (place + 1 < length ? Flag.next : 0)
            driver.setAvailable(
                PackedPosition(start + UInt64(place), size: UInt16(size)),
                .init(address: data, length: 16, id: oracle.held ?? 0, flags: flags))
        }
        if length > 0 { held = try bench.hold() }
        for index in 0..<size {
            let piece = oracle.ring[index] ?? Self.poison
            // What is in flight lies there still, from the round before.
            guard oracle.ring[index] != nil || length == 0 else { continue }
            driver.setDescriptor(UInt16(index), piece.packed)
        }
        writeTable(oracle) { entry in
            Descriptor(address: entry.address, length: entry.bytes, flags: 0, next: entry.flags)
        }
        check(oracle, verdict)
        held?.complete(written: 0)
    }

    /// What lies where the device must not look.
    private static let poison = ChainOracle.Piece(
        flags: 7, next: 0xfff0, id: 0xfff0, address: ChainOracle.unmapped, bytes: 0xffff_ffff)

    private func writeTable(
        _ oracle: ChainOracle, _ entry: (ChainOracle.Piece) -> Descriptor
    ) {
        guard !oracle.entries.isEmpty else { return }
        for index in 0..<oracle.longestTable {
            let piece = oracle.entries[index] ?? Self.poison
            bench.driver.writeDescriptor(entry(piece), at: table + UInt64(index * 16))
        }
    }

    private func check(_ oracle: ChainOracle, _ verdict: ChainOracle.Verdict) {
        do {
            let chain = try bench.hold()
            switch verdict {
            case .nothing:
                expect(chain == nil, "a chain that is not there", oracle)
            case .broken(let violations):
                expect(false, "\(violations) was not seen", oracle)
            case .chain(let id, let read, let write):
                accepted += 1
                expect(chain?.head == id, "head \(chain?.head, default: "nil") not \(id)", oracle)
                expect(hasRead(oracle, read), "not the blocks to read: \(read)", oracle)
                expect(hasWritten(oracle, write), "not the blocks to write: \(write)", oracle)
            }
            chain?.complete(written: 0)
        } catch {
            refused += 1
            guard case .broken(let violations) = verdict else {
                return expect(false, "\(error), and nothing is wrong", oracle)
            }
            expect(violations.contains(error), "\(error), not of \(violations)", oracle)
            // Latched.
            let again = Result { try bench.hold() }
            guard case .success(.none) = again, bench.queue.violation == error else {
                return expect(false, "\(error) was forgotten", oracle)
            }
        }
    }

    private func expect(_ isTrue: Bool, _ what: @autoclosure () -> String, _ oracle: ChainOracle) {
        guard !isTrue else { return }
        wrong += 1
        // The first few say all.
        guard wrong <= 5 else { return }
        let parts = "ring \(oracle.ring), table \(oracle.entries), held \(oracle.held, default: "")"
        Issue.record("\(what()): \(oracle.choices.note), \(parts)")
    }

    /// Whether the device sees just these blocks: each is marked by its number.
    private func hasRead(_ oracle: ChainOracle, _ blocks: [Int]) -> Bool {
        guard bench.buffers.readable.byteCount == blocks.count * 16 else { return false }
        for (place, block) in blocks.enumerated() {
            bench.driver.ram.write(
                Bytes.of(UInt64(block)) + Bytes.of(UInt64(7)), at: oracle.block(block))
            guard let words = bench.buffers.readable.words(at: place * 16),
                words == (UInt64(block), 7)
            else { return false }
        }
        return true
    }

    /// Whether bytes that the device writes come to just these blocks, in their order.
    private func hasWritten(_ oracle: ChainOracle, _ blocks: [Int]) -> Bool {
        guard bench.buffers.writable.byteCount == blocks.count * 16 else { return false }
        for place in blocks.indices {
            bench.buffers.writable.write([UInt8(place + 1)].span, at: place * 16)
        }
        // A block that a circle visits twice is none of a good chain.
        return blocks.enumerated().allSatisfy { place, block in
            bench.driver.ram.read(1, at: oracle.block(block)) == [UInt8(place + 1)]
        }
    }
}

extension ChainOracle.Piece {
    fileprivate var split: Descriptor {
        Descriptor(address: address, length: bytes, flags: flags, next: next)
    }

    fileprivate var packed: VhostUserFrontend.PackedDescriptor {
        .init(address: address, length: bytes, id: id, flags: flags | marks)
    }
}
