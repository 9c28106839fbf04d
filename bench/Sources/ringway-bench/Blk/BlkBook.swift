import Host

/// What a queue has written where, to know it again: each block carries its sector, the number of
/// the write and a checksum, and bytes that follow from them.
final class BlkBook {
    /// Blocks that are this queue's alone.
    let share: Range<UInt64>
    private let blockBytes: Int
    /// Writes of one run are told from those of another.
    private let run: UInt64
    /// The number of the last write that was acknowledged, by block; 0 for unknown.
    private var numbers: [UInt32]
    private var isBusy: [Bool]
    private(set) var checked: UInt64 = 0
    private var writes: UInt32 = 0

    init(share: Range<UInt64>, blockBytes: Int, run: UInt32) {
        self.share = share
        self.blockBytes = blockBytes
        self.run = UInt64(run) << 32
        numbers = Array(repeating: 0, count: Int(share.count))
        isBusy = Array(repeating: false, count: Int(share.count))
    }

    private func place(_ block: UInt64) -> Int { Int(block - share.lowerBound) }
    private func sector(_ block: UInt64) -> UInt64 { block * UInt64(blockBytes / 512) }
    func isKnown(_ block: UInt64) -> Bool { numbers[place(block)] != 0 }

    /// The first block at `block` or behind it that has no request in flight, and is busy from now
    /// on; nil where there is none near.
    func claim(near block: UInt64) -> UInt64? {
        var candidate = block
        for _ in 0..<min(64, share.count) {
            if !isBusy[place(candidate)] {
                isBusy[place(candidate)] = true
                return candidate
            }
            candidate = candidate + 1 == share.upperBound ? share.lowerBound : candidate + 1
        }
        return nil
    }

    /// Fills a block's memory for its next write. Returns the write's number.
    func stamp(_ block: UInt64, _ memory: Mapping, at offset: Int) -> UInt32 {
        writes += 1
        let number = writes
        let seed = Self.seed(sector(block), run | UInt64(number))
        var sum: UInt64 = 0
        for word in 3..<blockBytes / 8 {
            let value = QuickRandom.mix(seed &+ UInt64(word))
            memory.store64(value, at: offset + word * 8)
            sum = Self.add(sum, value)
        }
        memory.store64(sector(block), at: offset)
        memory.store64(run | UInt64(number), at: offset + 8)
        memory.store64(sum, at: offset + 16)
        return number
    }

    private static func seed(_ sector: UInt64, _ number: UInt64) -> UInt64 {
        QuickRandom.mix(sector ^ QuickRandom.mix(number))
    }

    private static func add(_ sum: UInt64, _ value: UInt64) -> UInt64 {
        (sum << 5 | sum >> 59) ^ value
    }

    /// - Parameter number: of a write that came back well; nil where it did not, and nobody knows
    ///   what is there now.
    func written(_ block: UInt64, number: UInt32?) {
        numbers[place(block)] = number ?? 0
        isBusy[place(block)] = false
    }

    /// Judges what was read, and frees the block. Returns what is wrong with it.
    func read(_ block: UInt64, _ memory: Mapping, at offset: Int) -> String? {
        isBusy[place(block)] = false
        let number = numbers[place(block)]
        guard number != 0 else { return nil }
        checked += 1
        let sector = sector(block)
        let holds = memory.load64(at: offset)
        guard holds == sector else {
            return "sector \(sector) holds what is not its own (its first word is \(holds))"
        }
        let found = memory.load64(at: offset + 8)
        guard found == run | UInt64(number) else {
            return found & ~0xffff_ffff == run
                ? "sector \(sector) holds write \(found & 0xffff_ffff), not the last, \(number)"
                : "sector \(sector) holds what another run wrote, not write \(number)"
        }
        let seed = Self.seed(sector, found)
        var sum: UInt64 = 0
        for word in 3..<blockBytes / 8 {
            let value = memory.load64(at: offset + word * 8)
            guard value == QuickRandom.mix(seed &+ UInt64(word)) else {
                return "sector \(sector) is not what was written from byte \(word * 8) on"
            }
            sum = Self.add(sum, value)
        }
        guard memory.load64(at: offset + 16) == sum else {
            return "sector \(sector) has a wrong checksum"
        }
        return nil
    }

    /// Lets go of a read that failed.
    func release(_ block: UInt64) { isBusy[place(block)] = false }
}
