import Host
import Randomness
import Testing

/// A list of buffers cut from a mapping by chance, and the same bytes as one array of offsets.
private final class Cuts {
    let memory: Mapping
    var list: IOVectors
    /// For each byte of the list where it lies in `memory`.
    var places: [Int] = []
    var random: Seeded

    init(pieces: Int, round: Int = 0, longest: Int = 40) throws {
        random = Seeded(round)
        memory = try Mapping.anonymous(count: (pieces + 1) * (longest + 8))
        list = IOVectors(capacity: pieces + 1)
        // Behind each other or with a hole between, so that some merge.
        var next = 0
        for _ in 0..<pieces {
            next += Bool.random(using: &random) ? 0 : Int.random(in: 1...8, using: &random)
            let count = Int.random(in: 0...longest, using: &random)
            #expect(list.append(memory, at: next, count: count) == true)
            places += next..<next + count
            next += count
        }
        for place in 0..<memory.count { memory.fill(byte(), at: place, count: 1) }
    }

    func byte() -> UInt8 { UInt8.random(in: 0...255, using: &random) }
    func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in byte() } }
    func below(_ limit: Int) -> Int { Int.random(in: 0...limit, using: &random) }

    /// What the list should hold.
    var expected: [UInt8] { places.map { memory.bytes(at: $0, count: 1)[0] } }

    /// What the list does hold, by its own copying.
    func held() throws -> [UInt8] {
        let count = list.byteCount
        guard count > 0 else { return [] }
        let copy = try Mapping.anonymous(count: count)
        list.drain(at: 0, into: copy, at: 0, count: count)
        return copy.bytes(at: 0, count: count)
    }

    /// All of the memory, whether the list holds it or not.
    var all: [UInt8] { memory.bytes(at: 0, count: memory.count) }

    /// The memory with `bytes` in the list from `offset` on, as far as the list reaches.
    func all(with bytes: [UInt8], at offset: Int) -> [UInt8] {
        var after = all
        for (place, byte) in zip(places.dropFirst(offset), bytes) { after[place] = byte }
        return after
    }
}

@Suite("A list of buffers is one string of bytes, wherever it is cut")
struct IOVectorsTests {
    @Test("What is appended is there, in order", arguments: 0..<20)
    func append(pieces: Int) throws {
        let cuts = try Cuts(pieces: pieces)
        let held = try cuts.held()
        #expect(held == cuts.expected, "\(cuts.random.note)")
        #expect(cuts.list.byteCount == cuts.places.count, "\(cuts.random.note)")
    }

    @Test("Buffers that follow each other are one, others are not")
    func merging() throws {
        let memory = try Mapping.anonymous(count: 100)
        var list = IOVectors(capacity: 3)
        #expect(list.append(memory, at: 10, count: 10) == true)
        #expect(list.append(memory, at: 20, count: 5) == true)
        #expect(list.count == 1)
        #expect(list.append(memory, at: 26, count: 4) == true)
        #expect(list.append(memory, at: 10, count: 10) == true)
        #expect(list.count == 3)
        #expect(list.append(memory, at: 60, count: 1) == false)
        #expect(list.append(memory, at: 60, count: 0) == true)
        #expect(list.append(memory, at: 20, count: 1) == true)
        #expect(list.count == 3)
        #expect(list.byteCount == 30)
        list.removeAll()
        #expect(list.count == 0 && list.byteCount == 0)
        #expect(list.append(memory, at: 60, count: 1) == true)
    }

    @Test("Dropping from both ends leaves the middle", arguments: 0..<40)
    func dropping(round: Int) throws {
        let cuts = try Cuts(pieces: 12, round: round)
        for step in 0..<12 {
            let (first, last) = (cuts.below(30), cuts.below(30))
            cuts.list.dropFirst(first)
            cuts.places.removeFirst(min(first, cuts.places.count))
            let held = try cuts.held()
            #expect(held == cuts.expected, "step \(step), \(cuts.random.note)")
            cuts.list.dropLast(last)
            cuts.places.removeLast(min(last, cuts.places.count))
            let heldThen = try cuts.held()
            #expect(heldThen == cuts.expected, "step \(step), \(cuts.random.note)")
            #expect(cuts.list.byteCount == cuts.places.count, "\(cuts.random.note)")
        }
        #expect(cuts.list.append(cuts.memory, at: 0, count: 0) == true)
    }

    @Test("Dropping all there is, or more, leaves nothing", arguments: [0, 1, 1000, Int.max])
    func droppingAll(excess: Int) throws {
        let cuts = try Cuts(pieces: 5)
        cuts.list.dropFirst(200 + min(excess, Int.max - 200))
        #expect(cuts.list.count == 0 && cuts.list.byteCount == 0)
        cuts.list.dropLast(excess)
        #expect(cuts.list.count == 0 && cuts.list.byteCount == 0)
        let last = cuts.list.lastByte()
        #expect(last == nil)
    }

    @Test("Two words are read at any offset where sixteen bytes are left", arguments: 0..<10)
    func words(round: Int) throws {
        let cuts = try Cuts(pieces: 10, round: round)
        let bytes = cuts.expected
        for offset in -1...bytes.count + 1 {
            let words = cuts.list.words(at: offset)
            let fits = offset >= 0 && offset + 16 <= bytes.count
            let expected =
                fits
                ? (little(bytes[offset..<offset + 8]), little(bytes[offset + 8..<offset + 16]))
                : nil
            #expect(words?.0 == expected?.0, "at \(offset), \(cuts.random.note)")
            #expect(words?.1 == expected?.1, "at \(offset), \(cuts.random.note)")
        }
        let far = (cuts.list.words(at: Int.max), cuts.list.words(at: Int.min))
        #expect(far.0 == nil && far.1 == nil)
    }

    @Test("Writing touches the bytes from an offset on, and no others", arguments: 0..<40)
    func write(round: Int) throws {
        let cuts = try Cuts(pieces: 8, round: round)
        let bytes = cuts.bytes(cuts.below(200))
        let offset = cuts.below(cuts.list.byteCount + 10)
        let expected = cuts.all(with: bytes, at: offset)
        cuts.list.write(bytes.span, at: offset)
        #expect(cuts.all == expected, "\(cuts.random.note)")
    }

    @Test("Filling from a mapping touches as many bytes as asked", arguments: 0..<40)
    func fill(round: Int) throws {
        let cuts = try Cuts(pieces: 8, round: round)
        let bytes = cuts.bytes(300)
        let source = try Mapping.anonymous(count: 300)
        source.write(bytes.span, at: 0)
        let (start, count) = (cuts.below(100), cuts.below(200))
        let offset = cuts.below(cuts.list.byteCount + 10)
        let expected = cuts.all(with: Array(bytes[start..<start + count]), at: offset)
        cuts.list.fill(at: offset, from: source, at: start, count: count)
        #expect(cuts.all == expected, "\(cuts.random.note)")
    }

    @Test("Draining copies as many bytes as asked, and no more", arguments: 0..<40)
    func drain(round: Int) throws {
        let cuts = try Cuts(pieces: 8, round: round)
        let target = try Mapping.anonymous(count: 400)
        target.fill(0xee, at: 0, count: 400)
        let (start, count) = (cuts.below(100), cuts.below(300))
        let offset = cuts.below(cuts.list.byteCount + 10)
        cuts.list.drain(at: offset, into: target, at: start, count: count)
        let part = Array(cuts.expected.dropFirst(offset).prefix(count))
        let rest = [UInt8](repeating: 0xee, count: 400 - start - part.count)
        let expected = [UInt8](repeating: 0xee, count: start) + part + rest
        #expect(target.bytes(at: 0, count: 400) == expected, "\(cuts.random.note)")
    }

    @Test("Clearing sets every byte of the list to zero, and no other", arguments: 0..<10)
    func clear(round: Int) throws {
        let cuts = try Cuts(pieces: 8, round: round)
        let zeroes = [UInt8](repeating: 0, count: cuts.places.count)
        let expected = cuts.all(with: zeroes, at: 0)
        cuts.list.clear()
        #expect(cuts.all == expected, "\(cuts.random.note)")
    }

    @Test("The last byte is the last one left", arguments: 0..<20)
    func lastByte(round: Int) throws {
        let cuts = try Cuts(pieces: 8, round: round)
        #expect(cuts.list.append(cuts.memory, at: 0, count: 1) == true)
        cuts.places.append(0)
        let drop = cuts.below(cuts.places.count - 1)
        cuts.list.dropLast(drop)
        cuts.places.removeLast(drop)
        let expected = cuts.all(with: [0x5a], at: cuts.places.count - 1)
        let last = cuts.list.lastByte()
        let location = try #require(last)
        #expect(location.isIn(cuts.memory))
        location.store(0x5a)
        #expect(cuts.all == expected, "\(cuts.random.note)")
    }

    @Test(
        "Alignment is every buffer's, of its address and of its length",
        arguments: [
            ([(0, 512), (1024, 512)], 512, 512, true), ([(0, 512), (1024, 511)], 512, 512, false),
            ([(0, 512), (1025, 512)], 512, 512, false), ([(8, 512)], 512, 512, false),
            ([(8, 512)], 4, 512, true), ([(4, 512), (1030, 512)], 4, 512, false),
            ([(512, 8)], 512, 4, true), ([(512, 8)], 4, 512, false), ([], 512, 512, true),
            ([(3, 5)], 1, 1, true),
        ] as [([(Int, Int)], Int, Int, Bool)])
    func alignment(
        buffers: [(Int, Int)], memoryAlignment: Int, length: Int, expected: Bool
    ) throws {
        let memory = try Mapping.anonymous(count: 4096)
        var list = IOVectors(capacity: 4)
        for (offset, count) in buffers {
            #expect(list.append(memory, at: offset, count: count) == true)
        }
        let isAligned = list.isAligned(memory: memoryAlignment, length: length)
        #expect(isAligned == expected)
    }

    @Test("A mapping is touched while a byte of it is in the list, its first or its last")
    func touches() throws {
        let (one, two) = (try Mapping.anonymous(count: 8192), try Mapping.anonymous(count: 8192))
        var list = IOVectors(capacity: 4)
        #expect([list.touches(one), list.touches(two)] == [false, false])
        #expect(list.append(one, at: 8191, count: 1) == true)
        #expect([list.touches(one), list.touches(two)] == [true, false])
        #expect(list.append(two, at: 0, count: 1) == true)
        #expect([list.touches(one), list.touches(two)] == [true, true])
        list.dropFirst(1)
        #expect([list.touches(one), list.touches(two)] == [false, true])
    }

    private func little(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}
