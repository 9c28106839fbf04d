import Host
import VirtioSpec

/// Why a region can't be taken, or let go.
public enum MemoryFault: Error, Equatable, Sendable {
    case empty
    /// An address or an offset plus the size passes the end of the address space.
    case wraps
    case overlaps(MemoryRegion)
    case tooMany
    /// The file ends before the region does; its size in bytes.
    case beyondFile(UInt64)
    /// A directory, a pipe, a socket: nothing that memory can be mapped from.
    case notMemory
    case noSuchRegion
    case system(SystemError)
}

/// The guest's memory at one moment: an immutable table of mapped regions.
///
/// A snapshot is shared by the control plane and the workers; a region's mapping goes when the last
/// snapshot that holds it does. Regions never overlap, neither by guest nor by user address.
@safe
public final class GuestMap: @unchecked Sendable {
    @safe
    struct Entry {
        let guestAddress: UInt64
        let byteCount: UInt64
        let host: UnsafeMutableRawPointer
    }

    // Sorted by guest address. Immutable after `init`, so that sharing it needs no lock.
    let entries: UnsafeMutablePointer<Entry>
    public let regions: [MemoryRegion]
    private let mappings: [Mapping]

    public static let empty = GuestMap(regions: [], mappings: [])

    private init(regions: [MemoryRegion], mappings: [Mapping]) {
        let order = regions.indices.sorted { regions[$0].guestAddress < regions[$1].guestAddress }
        self.regions = order.map { regions[$0] }
        self.mappings = order.map { mappings[$0] }
        unsafe entries = .allocate(capacity: max(1, regions.count))
        for (place, source) in order.enumerated() {
            let region = regions[source]
            let host = unsafe mappings[source].baseAddress + Int(region.fileOffset)
            unsafe (entries + place).initialize(
                to: Entry(
                    guestAddress: region.guestAddress, byteCount: region.byteCount, host: host))
        }
    }

    deinit { unsafe entries.deallocate() }

    /// A snapshot with `region`, backed by `file`, beside what this one has. The file may be closed
    /// afterwards. The mapping begins at offset 0, because the offset need be no multiple of a page,
    /// huge ones least of all.
    public func adding(
        _ region: MemoryRegion, file: borrowing OwnedFD
    ) throws(MemoryFault) -> GuestMap {
        guard regions.count < VhostUserLayout.memorySlots else { throw .tooMany }
        guard region.byteCount > 0 else { throw .empty }
        let fileEnd = try end(region.fileOffset, region.byteCount)
        _ = try end(region.guestAddress, region.byteCount)
        _ = try end(region.userAddress, region.byteCount)
        for other in regions where region.overlaps(other) { throw .overlaps(other) }
        let mapping = try Self.map(file, upTo: fileEnd)
        return GuestMap(regions: regions + [region], mappings: mappings + [mapping])
    }

    /// A snapshot without the region that has this one's addresses and size (its file offset does
    /// not matter), and the mapping that it leaves behind.
    public func removing(_ region: MemoryRegion) throws(MemoryFault) -> (GuestMap, Mapping) {
        let place = regions.firstIndex {
            $0.guestAddress == region.guestAddress && $0.userAddress == region.userAddress
                && $0.byteCount == region.byteCount
        }
        guard let place else { throw .noSuchRegion }
        var keptRegions = regions
        var keptMappings = mappings
        keptRegions.remove(at: place)
        let removed = keptMappings.remove(at: place)
        return (GuestMap(regions: keptRegions, mappings: keptMappings), removed)
    }

    /// Every mapping, for telling what still uses one.
    public var allMappings: [Mapping] { mappings }

    /// The host address of `count` bytes at a user address, where one region holds them all.
    func hostAddress(user: UInt64, count: Int) -> UnsafeMutableRawPointer? {
        for (place, region) in regions.enumerated() {
            let offset = user &- region.userAddress
            if offset < region.byteCount, UInt64(count) <= region.byteCount - offset {
                return unsafe entries[place].host + Int(offset)
            }
        }
        return nil
    }

    private static func map(
        _ file: borrowing OwnedFD, upTo end: UInt64
    ) throws(MemoryFault) -> Mapping {
        let facts: FileFacts
        do throws(SystemError) { facts = try file.facts() } catch { throw .system(error) }
        switch facts.kind {
        case .regular: guard end <= facts.byteCount else { throw .beyondFile(facts.byteCount) }
        case .characterDevice: break  // A DAX device has no size to compare with.
        default: throw .notMemory
        }
        do throws(SystemError) {
            return try Mapping.shared(file, count: Int(end), pageBytes: facts.pageBytes)
        } catch { throw .system(error) }
    }

    private func end(_ start: UInt64, _ count: UInt64) throws(MemoryFault) -> UInt64 {
        let (end, overflow) = start.addingReportingOverflow(count)
        // Half of the address space is more than any host maps, and keeps later sums in Int.
        guard !overflow, end <= UInt64(Int.max) else { throw .wraps }
        return end
    }
}

extension MemoryRegion {
    func overlaps(_ other: MemoryRegion) -> Bool {
        func meet(_ one: UInt64, _ two: UInt64) -> Bool {
            one < two + other.byteCount && two < one + byteCount
        }
        return meet(guestAddress, other.guestAddress) || meet(userAddress, other.userAddress)
    }
}
