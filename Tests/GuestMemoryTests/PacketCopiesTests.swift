import Host
import Randomness
import Testing

@Suite("Packets that are copied in a row arrive as if each had been copied at once")
struct PacketCopiesTests {
    private static let room = 2048

    private static func list(
        _ memory: Mapping, _ pieces: [(offset: Int, count: Int)]
    ) -> IOVectors {
        var list = IOVectors(capacity: 4)
        for piece in pieces {
            #expect(list.append(memory, at: piece.offset, count: piece.count) == true)
        }
        return list
    }

    @Test("behind their headers, and nothing else is touched", arguments: [10, 12])
    func burst(header: Int) throws {
        var random = Seeded(header)
        let source = try Mapping.anonymous(count: 16 * Self.room)
        let target = try Mapping.anonymous(count: 16 * Self.room)
        for place in 0..<source.count {
            source.fill(UInt8.random(in: 0...255, using: &random), at: place, count: 1)
        }
        target.fill(0xaa, at: 0, count: target.count)
        var expected = target.bytes(at: 0, count: target.count)
        var copies = PacketCopies(capacity: 16)
        let low = UInt64.random(in: 0...UInt64.max, using: &random)
        let high = UInt32.random(in: 0...UInt32.max, using: &random)
        for packet in 0..<16 {
            let count = Int.random(in: 0...1500, using: &random)
            let offset = Int.random(in: 0...100, using: &random)
            let start = packet * Self.room
            let from = Self.list(source, [(start, offset + count)])
            let to = Self.list(target, [(start, header + count)])
            let isTaken = copies.add(from, at: offset, count: count, nil, to: to, header: header)
            #expect(isTaken)
            var words: [UInt8] = []
            for byte in 0..<8 { words.append(UInt8(truncatingIfNeeded: low >> (8 * UInt64(byte)))) }
            for byte in 0..<header - 8 {
                words.append(UInt8(truncatingIfNeeded: high >> (8 * UInt32(byte))))
            }
            let bytes = words + source.bytes(at: start + offset, count: count)
            expected.replaceSubrange(start..<start + bytes.count, with: bytes)
        }
        let before = target.bytes(at: 0, count: target.count)
        #expect(before.allSatisfy { $0 == 0xaa }, "nothing is copied before it is asked for")
        copies.make(low, high)
        #expect(target.bytes(at: 0, count: target.count) == expected)
        // They are forgotten: the memory may be another's by now.
        target.fill(0, at: 0, count: target.count)
        copies.make(low, high)
        #expect(target.bytes(at: 0, count: target.count).allSatisfy { $0 == 0 })
    }

    @Test("A head that was judged is what arrives, whatever was written since")
    func judged() throws {
        let source = try Mapping.anonymous(count: 4096)
        let target = try Mapping.anonymous(count: 4096)
        source.fill(0x11, at: 0, count: 100)
        let from = Self.list(source, [(0, 100)])
        let to = Self.list(target, [(0, 112)])
        let head = from.frameHead(at: 0)
        var copies = PacketCopies(capacity: 1)
        let isTaken = copies.add(from, at: 0, count: 100, head, to: to, header: 12)
        #expect(isTaken)
        source.fill(0x22, at: 0, count: 100)
        copies.make(0, 0)
        let arrived = target.bytes(at: 12, count: 100)
        #expect(arrived.prefix(FrameHead.bytes).allSatisfy { $0 == 0x11 })
        #expect(arrived.dropFirst(FrameHead.bytes).allSatisfy { $0 == 0x22 })
    }

    @Test("What is in pieces, too short for its head, or one too many is left to the caller")
    func refused() throws {
        let memory = try Mapping.anonymous(count: 8192)
        let whole = Self.list(memory, [(0, 200)])
        let cut = Self.list(memory, [(300, 50), (400, 150)])
        let short = Self.list(memory, [(600, 20)])
        let tooShort = FrameHead.bytes - 1
        var copies = PacketCopies(capacity: 1)
        var answers = [
            copies.add(cut, at: 0, count: 100, nil, to: whole, header: 12),
            copies.add(whole, at: 0, count: 100, nil, to: cut, header: 12),
            copies.add(whole, at: 0, count: 100, nil, to: short, header: 12),
            copies.add(whole, at: 0, count: tooShort, FrameHead(), to: whole, header: 12),
        ]
        #expect(answers == [false, false, false, false])
        answers = [
            copies.add(whole, at: 0, count: 100, nil, to: whole, header: 12),
            copies.add(whole, at: 0, count: 100, nil, to: whole, header: 12),
        ]
        #expect(answers == [true, false], "it has room for one")
        copies.make(0, 0)
        let isTaken = copies.add(whole, at: 0, count: 100, nil, to: whole, header: 12)
        #expect(isTaken)
    }
}
