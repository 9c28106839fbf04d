import Host

/// What a verified write puts into its block, to be known again: the sector, a tag of its own, a
/// checksum, and bytes that follow from both.
struct BlockMark: Equatable {
    var sector: UInt64
    var tag: UInt64

    private static let headWords = 3

    init(sector: UInt64, tag: UInt64) {
        self.sector = sector
        self.tag = tag
    }

    /// What a block says of itself, true or not.
    init(_ memory: Mapping, at offset: Int) {
        sector = memory.load64(at: offset)
        tag = memory.load64(at: offset + 8)
    }

    private var seed: UInt64 { QuickRandom.mix(sector ^ QuickRandom.mix(tag)) }

    /// Fills a block of `count` bytes, whole words.
    func fill(_ memory: Mapping, at offset: Int, count: Int) {
        let seed = seed
        var sum: UInt64 = 0
        for word in Self.headWords..<count / 8 {
            let value = QuickRandom.mix(seed &+ UInt64(word))
            memory.store64(value, at: offset + word * 8)
            sum = Self.add(sum, value)
        }
        memory.store64(sector, at: offset)
        memory.store64(tag, at: offset + 8)
        memory.store64(sum, at: offset + 16)
    }

    /// The first byte of a block that is not what this mark fills it with; nil where all are.
    func flaw(_ memory: Mapping, at offset: Int, count: Int) -> Int? {
        guard BlockMark(memory, at: offset) == self else { return 0 }
        let seed = seed
        var sum: UInt64 = 0
        for word in Self.headWords..<count / 8 {
            let value = memory.load64(at: offset + word * 8)
            guard value == QuickRandom.mix(seed &+ UInt64(word)) else { return word * 8 }
            sum = Self.add(sum, value)
        }
        return memory.load64(at: offset + 16) == sum ? nil : 16
    }

    private static func add(_ sum: UInt64, _ value: UInt64) -> UInt64 {
        (sum << 5 | sum >> 59) ^ value
    }
}
