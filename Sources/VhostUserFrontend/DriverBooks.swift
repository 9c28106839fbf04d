import Host
import VirtioSpec

/// What the driver knows of a chain that it has offered, in memory that the device can't reach.
struct Offer {
    var token: UInt64 = 0
    var writableBytes: UInt64 = 0
    /// Entries that it takes up in the ring.
    var entries: UInt16 = 0
    /// Its last descriptor, in a split ring.
    var last: UInt16 = 0
    var isOut = false
}

/// The numbers from 0 to `size` - 1 that are free: descriptors of a split ring, ids of a packed
/// one. The one given back last is taken first; or, in order, each follows the one before it.
final class FreeNumbers {
    private let following: Table<UInt16>
    private var first: UInt16 = 0
    private(set) var count: Int
    private let inOrder: Bool

    init(size: UInt16, inOrder: Bool) {
        following = Table(count: Int(size)) { UInt16(($0 + 1) % Int(size)) }
        count = Int(size)
        self.inOrder = inOrder
    }

    /// There must be one.
    func take() -> UInt16 {
        let number = first
        first = following[Int(number)]
        count -= 1
        return number
    }

    /// Takes back `count` numbers that were taken in a row, from `first` to `last`.
    func giveBack(first head: UInt16, last: UInt16, count some: Int) {
        count += some
        // In order they come back as they went, so the circle is never cut.
        guard !inOrder else { return }
        following.set(Int(last), first)
        first = head
    }
}

/// The end of a batch that the device named by its last chain only (VIRTIO_F_IN_ORDER).
struct Batch {
    var last: UInt16 = 0
    var written: UInt32 = 0
    var isOpen = false
}

/// Tables of descriptors for chains that go through one: one for each number, used again.
struct IndirectTables {
    static let entries = 16
    private static let bytes = entries * SplitRingLayout.descriptorBytes
    private let block: RingPart?

    init(_ ram: GuestRAM, size: UInt16, isWanted: Bool) {
        block = isWanted ? RingPart(ram, bytes: Int(size) * Self.bytes) : nil
    }

    /// Writes a chain's table. Returns its guest address.
    /// - Parameters:
    ///   - number: whose table it is; a chain of more than 16 buffers gets one of its own.
    ///   - isPacked: entries of a packed ring follow each other without being told (§2.8.8).
    func write(
        _ buffers: Span<DriverBuffer>, for number: UInt16, isPacked: Bool, _ ram: GuestRAM
    ) -> UInt64 {
        if let block, buffers.count <= Self.entries {
            let offset = Int(number) * Self.bytes
            Self.fill(buffers, block.memory, block.start + offset, isPacked)
            return block.address + UInt64(offset)
        }
        let part = RingPart(ram, bytes: buffers.count * SplitRingLayout.descriptorBytes)
        Self.fill(buffers, part.memory, part.start, isPacked)
        return part.address
    }

    private static func fill(
        _ buffers: Span<DriverBuffer>, _ memory: Mapping, _ start: Int, _ isPacked: Bool
    ) {
        for place in buffers.indices {
            let buffer = buffers[place]
            let offset = start + place * SplitRingLayout.descriptorBytes
            memory.store64(buffer.address, at: offset)
            let next = place + 1 == buffers.count ? nil : UInt16(place + 1)
            let word = isPacked ? buffer.packedWord(0, id: 0) : buffer.word(next: next)
            memory.store64(word, at: offset + 8)
        }
    }
}

extension DriverBuffer {
    /// The second word of a split descriptor: length u32, flags u16, next u16.
    func word(next: UInt16?) -> UInt64 {
        var flags = isWritable ? DescriptorFlags.write : 0
        if next != nil { flags |= DescriptorFlags.next }
        return UInt64(length) | UInt64(flags) << 32 | UInt64(next ?? 0) << 48
    }

    /// The second word of a packed descriptor: length u32, id u16, flags u16.
    /// - Parameter marks: flags beside WRITE, which the buffer gives.
    func packedWord(_ marks: UInt16, id: UInt16) -> UInt64 {
        let flags = isWritable ? marks | DescriptorFlags.write : marks
        return UInt64(length) | UInt64(id) << 32 | UInt64(flags) << 48
    }
}
