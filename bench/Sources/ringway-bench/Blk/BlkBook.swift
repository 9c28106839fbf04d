import Host

/// What a queue has written where, to know it again by its mark.
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
        BlockMark(sector: sector(block), tag: run | UInt64(number))
            .fill(memory, at: offset, count: blockBytes)
        return number
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
        let found = BlockMark(memory, at: offset)
        guard found.sector == sector else {
            return "sector \(sector) holds what is not its own (its first word is \(found.sector))"
        }
        guard found.tag == run | UInt64(number) else {
            return found.tag & ~0xffff_ffff == run
                ? "sector \(sector) holds write \(found.tag & 0xffff_ffff), not the last, \(number)"
                : "sector \(sector) holds what another run wrote, not write \(number)"
        }
        return found.flaw(memory, at: offset, count: blockBytes).map {
            "sector \(sector) is not what was written from byte \($0) on"
        }
    }

    /// Lets go of a read that failed.
    func release(_ block: UInt64) { isBusy[place(block)] = false }
}
