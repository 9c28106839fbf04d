import Virtqueue

/// What a device must make of a chain, by the specification alone (virtio 1.3 §2.7.4, §2.7.5 and
/// §2.8.5 to §2.8.8), with descriptors that are chosen when they are looked at, and not before.
///
/// Every buffer has a block of guest memory of its own; see `block`.
final class ChainOracle {
    enum Verdict {
        /// The blocks to read and those to write.
        case chain(id: UInt16, read: [Int], write: [Int])
        /// The driver broke the ring. More than one name may be right where a descriptor breaks
        /// several rules.
        case broken([QueueViolation])
        case nothing
    }

    /// A descriptor as it was chosen.
    struct Piece {
        var flags: UInt16
        var next: UInt16 = 0
        var id: UInt16 = 0
        /// AVAIL and USED, for a packed ring.
        var marks: UInt16 = 0
        var address: UInt64
        var bytes: UInt32
        var isMapped = true

        var hasNext: Bool { flags & Flag.next != 0 }
        var isWritable: Bool { flags & Flag.write != 0 }
        var isIndirect: Bool { flags & Flag.indirect != 0 }
    }

    static let blockBytes = 16
    static let unmapped: UInt64 = 1 << 40

    let choices: Exhaustive
    let size: Int
    /// Guest memory for blocks and for one table.
    let data: UInt64
    let table: UInt64
    /// Descriptors of the longest table; one where others come before it.
    let longestTable: Int
    /// What was chosen, by index.
    private(set) var ring: [Int: Piece] = [:]
    private(set) var entries: [Int: Piece] = [:]
    var held: UInt16?

    private var read: [Int] = []
    private var write: [Int] = []

    init(_ choices: Exhaustive, size: Int, data: UInt64, table: UInt64, longestTable: Int) {
        self.choices = choices
        self.size = size
        self.data = data
        self.table = table
        self.longestTable = longestTable
    }

    /// The guest address of a block; a gap lies between one and the next.
    func block(_ number: Int) -> UInt64 { data + UInt64(number * 2 * Self.blockBytes) }
    /// The block of an entry in the table.
    func entryBlock(_ index: Int) -> Int { size + index }

    // Choices.

    /// Flags, and for a plain buffer nothing, a block, or a place where no memory is.
    private func choose(block number: Int, tableBytes: [Int]) -> Piece {
        var piece = Piece(
            flags: UInt16(choices.below(8)), address: block(number),
            bytes: UInt32(Self.blockBytes))
        if piece.isIndirect {
            piece.bytes = UInt32(choices.element(of: tableBytes))
            piece.address = table
            piece.isMapped = choices.bool()
        } else {
            switch choices.below(3) {
            case 0: piece.bytes = 0
            case 1: break
            default: piece.isMapped = false
            }
        }
        // A buffer of no bytes may claim to be anywhere.
        if !piece.isMapped || piece.bytes == 0 { piece.address = Self.unmapped }
        return piece
    }

    private var tableSizes: [Int] {
        let whole = (1...longestTable).map { $0 * 16 }
        return whole + [0, 8, 24, 1025 * 16]
    }

    private func ringPiece(_ index: Int) -> Piece {
        if let piece = ring[index] { return piece }
        var piece = choose(block: index, tableBytes: ring.isEmpty ? tableSizes : [16, 24])
        if piece.hasNext, !piece.isIndirect { piece.next = UInt16(choices.below(size + 1)) }
        ring[index] = piece
        return piece
    }

    private func entry(_ index: Int, of count: Int) -> Piece {
        if let piece = entries[index] { return piece }
        var piece = choose(block: entryBlock(index), tableBytes: [16])
        if piece.hasNext { piece.next = UInt16(choices.below(count + 1)) }
        entries[index] = piece
        return piece
    }

    // Rules.

    /// Adds a plain buffer; what is wrong with it.
    private func add(_ piece: Piece, _ block: Int, head: UInt16) -> [QueueViolation] {
        var faults: [QueueViolation] = []
        // A buffer of no bytes begins no part of a chain.
        if !piece.isWritable, !write.isEmpty { faults.append(.readableAfterWritable(head: head)) }
        if !piece.isMapped { faults.append(unmapped(piece, head)) }
        guard piece.bytes > 0 else { return faults }
        if piece.isWritable { write.append(block) } else { read.append(block) }
        return faults
    }

    private func unmapped(_ piece: Piece, _ head: UInt16) -> QueueViolation {
        .unmapped(head: head, address: piece.address, bytes: piece.bytes)
    }

    /// What is wrong with a descriptor that names a table.
    private func tableFaults(_ piece: Piece, head: UInt16) -> [QueueViolation] {
        var faults: [QueueViolation] = []
        if piece.hasNext { faults.append(.indirectWithNext(head: head)) }
        if piece.bytes == 0 || piece.bytes % 16 != 0 || piece.bytes > 1024 * 16 {
            faults.append(.indirectLength(head: head, bytes: piece.bytes))
        }
        if !piece.isMapped { faults.append(unmapped(piece, head)) }
        return faults
    }

    /// A split ring's chain that begins with descriptor `head`.
    func judgeSplit(head: UInt16) -> Verdict {
        if head >= size { return .broken([.headOutOfRange(head)]) }
        if head == held { return .broken([.headInFlight(head)]) }
        var index = Int(head)
        for step in 1...size {
            let piece = ringPiece(index)
            if piece.isIndirect { return judgeSplitTable(piece, head: head) }
            let faults = add(piece, index, head: head)
            if !faults.isEmpty { return .broken(faults) }
            guard piece.hasNext else { return .chain(id: head, read: read, write: write) }
            index = Int(piece.next)
            var after: [QueueViolation] = []
            if index >= size { after.append(.nextOutOfRange(head: head, next: piece.next)) }
            if step == size { after.append(.chainTooLong(head: head)) }
            if !after.isEmpty { return .broken(after) }
        }
        preconditionFailure("as many steps as descriptors, and no end")
    }

    private func judgeSplitTable(_ piece: Piece, head: UInt16) -> Verdict {
        let faults = tableFaults(piece, head: head)
        if !faults.isEmpty { return .broken(faults) }
        let count = Int(piece.bytes) / 16
        var index = 0
        for step in 1...count {
            let entry = entry(index, of: count)
            if entry.isIndirect { return .broken([.nestedIndirect(head: head)]) }
            let faults = add(entry, entryBlock(index), head: head)
            if !faults.isEmpty { return .broken(faults) }
            guard entry.hasNext else { return .chain(id: head, read: read, write: write) }
            index = Int(entry.next)
            var after: [QueueViolation] = []
            if index >= count { after.append(.nextOutOfRange(head: head, next: entry.next)) }
            if step == count { after.append(.chainTooLong(head: head)) }
            if !after.isEmpty { return .broken(after) }
        }
        preconditionFailure("as many steps as entries, and no end")
    }

    /// A packed ring's chain at `position`, with `room` descriptors that are not in flight.
    /// - Parameter wrap: the driver's wrap counter there.
    func judgePacked(at position: Int, wrap: Bool, room: Int) -> Verdict {
        var index = position
        for step in 1...room {
            let isWrapped = wrap != (index < position)
            let right: UInt16 = isWrapped ? 0x80 : 0x8000
            let first = step == 1
            var piece = choose(block: index, tableBytes: first ? tableSizes : [16])
            // The marks of those after the first tell nobody anything.
            piece.marks =
                first
                ? choices.element(of: [right, 0, 0x80, 0x8000, 0x8080])
                : choices.element(of: [right, 0])
            // Only the last one's id counts; one past the ring's end else.
            piece.id = piece.hasNext ? 0x7777 : UInt16(choices.below(size + 1))
            ring[index] = piece
            if first, piece.marks != right { return .nothing }
            if piece.isIndirect { return judgePackedTable(piece, isFirst: first) }
            let faults = add(piece, index, head: piece.id)
            if !faults.isEmpty { return .broken(faults) }
            guard piece.hasNext else { return end(piece.id) }
            index = (index + 1) % size
        }
        return .broken([.chainTooLong(head: UInt16(position))])
    }

    private func judgePackedTable(_ piece: Piece, isFirst: Bool) -> Verdict {
        var faults = tableFaults(piece, head: piece.id)
        // A table is a chain of its own (§2.8.7).
        if !isFirst { faults.append(.indirectWithNext(head: piece.id)) }
        if !faults.isEmpty { return .broken(faults) }
        for index in 0..<Int(piece.bytes) / 16 {
            // Its entries follow each other; "next" and the id mean nothing in them.
            let entry = entry(index, of: 1)
            if entry.isIndirect { return .broken([.nestedIndirect(head: piece.id)]) }
            let faults = add(entry, entryBlock(index), head: piece.id)
            if !faults.isEmpty { return .broken(faults) }
        }
        return end(piece.id)
    }

    private func end(_ id: UInt16) -> Verdict {
        if id >= size { return .broken([.headOutOfRange(id)]) }
        if id == held { return .broken([.headInFlight(id)]) }
        return .chain(id: id, read: read, write: write)
    }
}
