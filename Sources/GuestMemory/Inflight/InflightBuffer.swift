import Host
import VirtioSpec

/// The buffer in which requests in flight outlive the back-end that took them: made by a back-end,
/// kept by the front-end, and given back by it to the next one. What it says is not to be trusted.
public struct InflightBuffer: Sendable {
    /// Keeps the buffer mapped.
    public let memory: Mapping
    /// Where it begins in the mapping, in bytes.
    private let start: Int
    private let byteCount: Int
    public let queueCount: UInt16
    /// Entries of each queue's region: the largest ring it can serve.
    public let queueSize: UInt16

    /// Bytes of a buffer for as many queues of that size, whichever form their rings will have.
    public static func bytes(queueCount: UInt16, queueSize: UInt16) -> Int {
        Int(queueCount) * InflightLayout.bytes(size: queueSize)
    }

    /// Maps the buffer that lies in `file` from `offset` on, `byteCount` bytes long.
    public init(
        _ file: borrowing OwnedFD, offset: UInt64, byteCount: UInt64, queueCount: UInt16,
        queueSize: UInt16
    ) throws(InflightFault) {
        let (end, overflow) = offset.addingReportingOverflow(byteCount)
        guard !overflow, let count = Int(exactly: end) else { throw .size(byteCount) }
        // Every region's words are aligned when the first region is.
        guard offset % UInt64(InflightLayout.alignment) == 0 else { throw .offset(offset) }
        let needed = Int(queueCount) * SplitInflightLayout.bytes(size: queueSize)
        guard queueCount > 0, queueSize > 0, byteCount >= UInt64(needed) else {
            throw .tooSmall(byteCount, queues: queueCount, entries: queueSize)
        }
        let facts: FileFacts
        do throws(SystemError) { facts = try file.facts() } catch { throw .system(error) }
        guard facts.kind == .regular else { throw .notMemory }
        guard end <= facts.byteCount else { throw .beyondFile(facts.byteCount) }
        do throws(SystemError) {
            memory = try Mapping.shared(file, count: count, pageBytes: facts.pageBytes)
        } catch { throw .system(error) }
        start = Int(offset)
        self.byteCount = Int(byteCount)
        self.queueCount = queueCount
        self.queueSize = queueSize
    }

    /// The region of queue `queue`, whose split ring has `size` entries.
    public func split(_ queue: Int, size: UInt16) throws(InflightFault) -> SplitInflightMemory {
        let bytes = SplitInflightLayout.bytes(size: queueSize)
        return SplitInflightMemory(
            memory: memory, start: try place(queue, size: size, bytes), count: queueSize)
    }

    /// The same of a packed ring.
    public func packed(_ queue: Int, size: UInt16) throws(InflightFault) -> PackedInflightMemory {
        let bytes = PackedInflightLayout.bytes(size: queueSize)
        return PackedInflightMemory(
            memory: memory, start: try place(queue, size: size, bytes), count: queueSize)
    }

    private func place(_ queue: Int, size: UInt16, _ bytes: Int) throws(InflightFault) -> Int {
        guard queue < Int(queueCount) else { throw .noRegion(queues: queueCount) }
        guard size <= queueSize else { throw .ringSize(size, entries: queueSize) }
        // Neither can overflow: 16 bits each, and less than 22.
        guard (queue + 1) * bytes <= byteCount else {
            throw .tooSmall(UInt64(byteCount), queues: queueCount, entries: queueSize)
        }
        return start + queue * bytes
    }
}

/// What is wrong with a buffer of requests in flight.
public enum InflightFault: Error, Equatable, Sendable {
    case size(UInt64)
    case offset(UInt64)
    /// Bytes that do not hold so many queues' regions.
    case tooSmall(UInt64, queues: UInt16, entries: UInt16)
    case beyondFile(UInt64)
    case notMemory
    /// The file was shortened under us.
    case lost
    case system(SystemError)
    /// A ring beyond the last region.
    case noRegion(queues: UInt16)
    /// A ring with more entries than its region.
    case ringSize(UInt16, entries: UInt16)
    case version(UInt16)
    case features(UInt64)
    /// What the region says of its entries.
    case descriptorCount(UInt16, entries: UInt16)
    /// The used index went on by this much in the last batch.
    case batch(UInt16)
    /// A list that goes in a circle, or out of the region.
    case list
    /// Descriptors that are in no list, or more of them in flight than the ring has.
    case count
    /// A place in the ring that is none.
    case position(UInt16)
}

extension Mapping {
    /// Reads what both forms' regions begin with. False where nobody has used the region yet.
    func isInflightRegionUsed(at start: Int, count: UInt16) throws(InflightFault) -> Bool {
        let version = load16(at: start + InflightLayout.version, acquiring: true)
        guard version != 0 else { return false }
        guard version == InflightLayout.currentVersion else { throw .version(version) }
        let features = load64(at: start + InflightLayout.features)
        guard features == 0 else { throw .features(features) }
        let entries = load16(at: start + InflightLayout.descriptorCount)
        guard entries == count else { throw .descriptorCount(entries, entries: count) }
        return true
    }

    /// Makes a region one that is used: the last that is written of it.
    func markInflightRegionUsed(at start: Int, count: UInt16) {
        store64(0, at: start + InflightLayout.features)
        store16(count, at: start + InflightLayout.descriptorCount)
        storeInOrder16(InflightLayout.currentVersion, at: start + InflightLayout.version)
    }
}
