import Host
import VirtioSpec

/// A block request, judged: what is to be done, or the status to refuse it with.
public enum BlockRequest: Equatable, Sendable {
    /// `offset` and `count` in bytes; the range lies on the disk.
    case read(offset: UInt64, count: Int)
    case write(offset: UInt64, count: Int)
    case flush
    case identify
    /// As many ranges as were put into the list.
    case discard(ranges: Int)
    case writeZeroes(ranges: Int)
    case refuse(BlockStatus)
}

/// One judged range of a DISCARD or WRITE_ZEROES, in bytes.
public struct BlockRange: Equatable, Sendable {
    public var offset: UInt64
    public var count: UInt64
    /// Its space may be given back.
    public var unmap: Bool

    public init(offset: UInt64 = 0, count: UInt64 = 0, unmap: Bool = false) {
        self.offset = offset
        self.count = count
        self.unmap = unmap
    }
}

/// What a request is judged by.
public struct BlockRules: Sendable {
    public var sectorCount: UInt64
    public var isReadOnly: Bool
    public var canDiscard: Bool
    /// An acknowledged write is on stable storage.
    public var writesAreDurable: Bool

    public init(
        sectorCount: UInt64, isReadOnly: Bool = false, canDiscard: Bool = true,
        writesAreDurable: Bool = false
    ) {
        self.sectorCount = sectorCount
        self.isReadOnly = isReadOnly
        self.canDiscard = canDiscard
        self.writesAreDurable = writesAreDurable
    }

    /// Reads the header and judges the request (virtio 1.3 §5.2.6). What remains in `readable` and
    /// `writable` is data: the header is dropped from the one, the status byte from the other,
    /// wherever in the chain's descriptors they lay. Ranges go to `ranges`, from `first` on.
    ///
    /// The caller has made sure that there is a status byte to drop, and room for
    /// `BlockOptions.rangesPerRequest` ranges.
    public func judge(
        readable: inout IOVectors, writable: inout IOVectors,
        ranges: inout Table<BlockRange>, from first: Int
    ) -> BlockRequest {
        writable.dropLast(1)
        // One copy of the header, so that nothing can change between the look and the deed.
        guard let (word, sector) = readable.words(at: 0) else { return .refuse(.ioError) }
        readable.dropFirst(BlockLayout.headerBytes)
        switch UInt32(truncatingIfNeeded: word) {
        case BlockRequestType.in:
            guard let offset = place(sector, writable.byteCount) else { return .refuse(.ioError) }
            return .read(offset: offset, count: writable.byteCount)
        case BlockRequestType.out:
            guard !isReadOnly, let offset = place(sector, readable.byteCount) else {
                return .refuse(.ioError)
            }
            return .write(offset: offset, count: readable.byteCount)
        case BlockRequestType.flush: return .flush
        case BlockRequestType.getID: return .identify
        case BlockRequestType.discard where canDiscard:
            return judgeRanges(readable, &ranges, first, discarding: true)
        case BlockRequestType.writeZeroes:
            return judgeRanges(readable, &ranges, first, discarding: false)
        default: return .refuse(.unsupported)
        }
    }

    /// The byte offset of `count` bytes at `sector`, where they are whole sectors on the disk.
    @inline(__always)
    private func place(_ sector: UInt64, _ count: Int) -> UInt64? {
        let sectors = UInt64(count) / BlockLayout.sectorBytes
        guard UInt64(count) % BlockLayout.sectorBytes == 0, count > 0,
            sector <= sectorCount, sectors <= sectorCount - sector
        else { return nil }
        return sector * BlockLayout.sectorBytes
    }

    private func judgeRanges(
        _ data: borrowing IOVectors, _ ranges: inout Table<BlockRange>, _ start: Int,
        discarding: Bool
    ) -> BlockRequest {
        guard !isReadOnly else { return .refuse(.ioError) }
        let (count, rest) = data.byteCount.quotientAndRemainder(
            dividingBy: BlockLayout.rangeBytes)
        guard rest == 0, count > 0, count <= BlockOptions.rangesPerRequest else {
            return .refuse(.ioError)
        }
        for index in 0..<count {
            guard let (sector, second) = data.words(at: index * BlockLayout.rangeBytes) else {
                return .refuse(.ioError)
            }
            let sectors = UInt64(UInt32(truncatingIfNeeded: second))
            let flags = UInt32(truncatingIfNeeded: second >> 32)
            // Only unmap is defined, and only where zeroes are written (virtio 1.3 §5.2.6.2).
            let allowed = discarding ? 0 : BlockLayout.rangeUnmap
            guard flags & ~allowed == 0 else { return .refuse(.unsupported) }
            guard sector <= sectorCount, sectors <= sectorCount - sector,
                sectors <= UInt64(BlockOptions.sectorsPerRange)
            else { return .refuse(.ioError) }
            ranges[start + index] = BlockRange(
                offset: sector * BlockLayout.sectorBytes, count: sectors * BlockLayout.sectorBytes,
                unmap: discarding || (flags & BlockLayout.rangeUnmap != 0 && canDiscard))
        }
        return discarding ? .discard(ranges: count) : .writeZeroes(ranges: count)
    }
}
