import Synchronization
import VirtioDevice
import VirtioSpec

/// The virtio block device as its driver sees it (virtio 1.3 §5.2): features, configuration space,
/// and the rules by which requests are judged. It does no I/O.
public final class BlockDevice: VirtioDevice {
    public let options: BlockOptions
    private let accepted = Atomic<UInt64>(0)
    /// The configuration space's `writeback` field, which the driver may change at any time.
    private let writeback: Atomic<Bool>

    public init(_ options: BlockOptions) {
        self.options = options
        writeback = Atomic(options.cache != .writethrough)
    }

    // SIZE_MAX is left out on purpose: a segment may have any length, and offering the bit obliges
    // drivers to cut theirs to a number that would mean nothing here.
    public var features: Features {
        var features: Features = [
            .blockSegMax, .blockSize, .blockFlush, .blockTopology, .blockConfigWriteback,
            .blockMultiqueue,
        ]
        if options.isReadOnly { features.insert(.blockReadOnly) }
        if options.canDiscard, !options.isReadOnly { features.insert(.blockDiscard) }
        if !options.isReadOnly { features.insert(.blockWriteZeroes) }
        return features
    }

    public var queueCount: Int { options.queueCount }
    public var largestQueue: UInt32 { options.largestQueue }

    public var configuration: [UInt8] {
        var space = [UInt8](repeating: 0, count: BlockConfigOffset.end)
        func put(_ value: UInt64, _ bytes: Int, at offset: Int) {
            for index in 0..<bytes {
                space[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(index)))
            }
        }
        let perPhysical = max(1, BlockOptions.physicalBlock / options.blockSize)
        put(options.byteCount / BlockLayout.sectorBytes, 8, at: BlockConfigOffset.capacity)
        put(UInt64(BlockOptions.segmentsAdvised), 4, at: BlockConfigOffset.segMax)
        put(UInt64(options.blockSize), 4, at: BlockConfigOffset.blockSize)
        put(
            UInt64(perPhysical.trailingZeroBitCount), 1,
            at: BlockConfigOffset.physicalBlockExponent)
        put(UInt64(perPhysical), 2, at: BlockConfigOffset.minimumIO)
        put(writeback.load(ordering: .relaxed) ? 1 : 0, 1, at: BlockConfigOffset.writeback)
        put(UInt64(options.queueCount), 2, at: BlockConfigOffset.queueCount)
        guard !options.isReadOnly else { return space }
        let sectors = UInt64(BlockOptions.sectorsPerRange)
        let ranges = UInt64(BlockOptions.rangesPerRequest)
        if options.canDiscard {
            put(sectors, 4, at: BlockConfigOffset.maxDiscardSectors)
            put(ranges, 4, at: BlockConfigOffset.maxDiscardSegments)
            let alignment = max(options.blockSize, BlockOptions.physicalBlock)
            put(
                UInt64(alignment) / BlockLayout.sectorBytes, 4,
                at: BlockConfigOffset.discardAlignment)
        }
        put(sectors, 4, at: BlockConfigOffset.maxWriteZeroesSectors)
        put(ranges, 4, at: BlockConfigOffset.maxWriteZeroesSegments)
        put(options.canDiscard ? 1 : 0, 1, at: BlockConfigOffset.writeZeroesMayUnmap)
        return space
    }

    public func writeConfiguration(_ bytes: [UInt8], at offset: Int) -> Bool {
        guard offset == BlockConfigOffset.writeback, bytes.count == 1,
            Features(rawValue: accepted.load(ordering: .relaxed)).contains(.blockConfigWriteback)
        else { return false }
        writeback.store(bytes[0] & 1 != 0, ordering: .relaxed)
        return true
    }

    public func accept(_ features: Features) {
        accepted.store(features.rawValue, ordering: .relaxed)
    }

    public func reset() {
        accepted.store(0, ordering: .relaxed)
        writeback.store(options.cache != .writethrough, ordering: .relaxed)
    }

    /// A driver that has turned the write cache off goes on without flushing, and some VMMs set the
    /// status back when they only halt it: so the cache stays as it is.
    public func driverLeft() { accepted.store(0, ordering: .relaxed) }

    /// The rules that hold now; a worker asks once per breath.
    public var rules: BlockRules {
        BlockRules(
            sectorCount: options.byteCount / BlockLayout.sectorBytes,
            isReadOnly: options.isReadOnly, canDiscard: options.canDiscard,
            writesAreDurable: writesAreDurable)
    }

    /// Whether an acknowledged write must be on stable storage: the operator says so, or the driver
    /// has turned the cache off, or it does not know how to flush one (virtio 1.3 §5.2.6.2).
    public var writesAreDurable: Bool {
        let accepted = Features(rawValue: accepted.load(ordering: .relaxed))
        if options.cache == .writethrough || !accepted.contains(.blockFlush) { return true }
        return accepted.contains(.blockConfigWriteback) && !writeback.load(ordering: .relaxed)
    }

    /// What GET_ID answers: the serial's first bytes, zeroes after.
    public var identifier: [UInt8] {
        let serial = Array(options.serial.utf8.prefix(BlockLayout.identifierBytes))
        let rest = BlockLayout.identifierBytes - serial.count
        return serial + [UInt8](repeating: 0, count: rest)
    }
}
