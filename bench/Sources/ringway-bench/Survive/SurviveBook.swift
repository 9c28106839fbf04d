import Host

/// What every block of a disk may hold, whatever has become of the back-end meanwhile: the last write
/// that was acknowledged, or one that is out. There is never more than one out on a block.
final class SurviveBook {
    let blocks: UInt64
    let blockBytes: Int
    /// Writes of one run are told from those of another.
    private let run: UInt64
    /// Numbers of writes by block, 0 for none: the last that was acknowledged, and one that is out.
    private var acknowledged: [UInt32]
    private var pending: [UInt32]
    private var isBusy: [Bool]
    private var writes: UInt32 = 0

    init(blocks: UInt64, blockBytes: Int, run: UInt32) {
        self.blocks = blocks
        self.blockBytes = blockBytes
        self.run = UInt64(run) << 32
        acknowledged = Array(repeating: 0, count: Int(blocks))
        pending = acknowledged
        isBusy = Array(repeating: false, count: Int(blocks))
    }

    func sector(_ block: UInt64) -> UInt64 { block * UInt64(blockBytes / 512) }

    /// The first block at `block` or behind it that has no request out, and is busy from now on; nil
    /// where there is none near.
    func claim(near block: UInt64) -> UInt64? {
        var candidate = block
        for _ in 0..<min(64, blocks) {
            if !isBusy[Int(candidate)] {
                isBusy[Int(candidate)] = true
                return candidate
            }
            candidate = candidate + 1 == blocks ? 0 : candidate + 1
        }
        return nil
    }

    /// Fills a claimed block's memory for its next write.
    func stamp(_ block: UInt64, _ memory: Mapping, at offset: Int) {
        writes += 1
        pending[Int(block)] = writes
        BlockMark(sector: sector(block), tag: run | UInt64(writes))
            .fill(memory, at: offset, count: blockBytes)
    }

    /// The write that is out has come back well.
    func acknowledge(_ block: UInt64) {
        acknowledged[Int(block)] = pending[Int(block)]
        pending[Int(block)] = 0
        isBusy[Int(block)] = false
    }

    /// A read is over, or a write that did not come back well: it may be there or not.
    func release(_ block: UInt64) { isBusy[Int(block)] = false }

    /// Judges what was found of a block. Nil where it may be so.
    /// - Parameter source: where it was found, in words.
    func judge(
        _ block: UInt64, _ memory: Mapping, at offset: Int, in source: String
    ) -> Finding? {
        let (last, out) = (acknowledged[Int(block)], pending[Int(block)])
        // What was there before the run is nobody's business.
        guard last != 0 else { return nil }
        let found = BlockMark(memory, at: offset)
        let (sector, number) = (sector(block), UInt32(truncatingIfNeeded: found.tag))
        let wanted = "write \(last)" + (out == 0 ? "" : " or \(out)")
        func finding(_ kind: Finding.Kind, _ text: String) -> Finding {
            Finding(kind, "\(source): sector \(sector) holds \(text); it should hold \(wanted)")
        }
        guard found.sector == sector, found.tag & ~0xffff_ffff == run, number != 0,
            number <= writes
        else {
            let words = String(found.sector, radix: 16) + " " + String(found.tag, radix: 16)
            return finding(.foreign, "what was never written there (\(words))")
        }
        if let byte = found.flaw(memory, at: offset, count: blockBytes) {
            return finding(.torn, "write \(number) up to byte \(byte), and then something else")
        }
        if number == last || number == out { return nil }
        return number < last
            ? finding(.lost, "write \(number)")
            : finding(.foreign, "write \(number), which was another block's")
    }
}

/// One thing that must not be.
struct Finding {
    enum Kind: String, CaseIterable {
        /// An acknowledged write is not there.
        case lost
        /// A block is neither what one write left nor what another did.
        case torn
        /// A block holds what was never written there.
        case foreign
        /// A request came back that was not done, or was not out.
        case duplicated
        /// A request has not come back.
        case hung
        /// A request came back with an error.
        case failed
    }
    let kind: Kind
    let text: String

    init(_ kind: Kind, _ text: String) {
        self.kind = kind
        self.text = text
    }
}
