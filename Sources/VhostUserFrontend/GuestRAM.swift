import Host
import Synchronization
import VirtioSpec

/// The guest's memory as a VMM holds it: one memfd a region, mapped here and shared by message.
public final class GuestRAM: Sendable {
    /// How one region is made. Sizes and addresses in bytes, multiples of a page.
    public struct Plan: Sendable {
        public var guestAddress: UInt64
        public var byteCount: UInt64
        /// Where the region begins in its file; what lies before is nobody's.
        public var fileOffset: UInt64
        public var hugePages: Bool

        public init(
            guestAddress: UInt64 = 0, byteCount: UInt64, fileOffset: UInt64 = 0,
            hugePages: Bool = false
        ) {
            self.guestAddress = guestAddress
            self.byteCount = byteCount
            self.fileOffset = fileOffset
            self.hugePages = hugePages
        }
    }

    /// One region, and the file that backs it.
    public final class Region: Sendable {
        public let description: MemoryRegion
        public let memory: SharedMemory

        init(_ plan: Plan, userAddress: UInt64) throws(SystemError) {
            description = MemoryRegion(
                guestAddress: plan.guestAddress, byteCount: plan.byteCount,
                userAddress: userAddress, fileOffset: plan.fileOffset)
            let page: UInt64 = plan.hugePages ? 2 << 20 : 4096
            let bytes = (plan.fileOffset + plan.byteCount + page - 1) / page * page
            memory = try SharedMemory(count: Int(bytes), hugePages: plan.hugePages)
        }
    }

    public let regions: [Region]
    /// Where the next allocation is looked for.
    private let next: Mutex<UInt64>

    /// - Parameter plans: regions that do not overlap, by rising guest address.
    public init(_ plans: [Plan]) throws(SystemError) {
        var regions: [Region] = []
        // User addresses have nothing to do with guest addresses, and are not in their order.
        var user: UInt64 = 0x7000_0000_0000
        for plan in plans {
            user -= (plan.byteCount + 0x20_0000) / 0x1000 * 0x1000
            regions.append(try Region(plan, userAddress: user))
        }
        self.regions = regions
        next = Mutex(plans.first?.guestAddress ?? 0)
    }

    /// One region of `byteCount` bytes at guest address 0.
    public convenience init(byteCount: UInt64) throws(SystemError) {
        try self.init([Plan(byteCount: byteCount)])
    }

    /// Reserves guest memory inside one region. Never freed, but for `reset`; traps where there is
    /// no more.
    public func allocate(_ bytes: Int, alignment: UInt64 = 16) -> UInt64 {
        next.withLock { next in
            for region in regions.map(\.description) {
                let start = max(next, region.guestAddress)
                let aligned = (start + alignment - 1) / alignment * alignment
                let end = aligned + UInt64(bytes)
                if end <= region.guestAddress + region.byteCount {
                    next = end
                    return aligned
                }
            }
            preconditionFailure("guest memory is used up: \(bytes) bytes wanted")
        }
    }

    /// Forgets every allocation.
    public func reset() { next.withLock { $0 = regions.first?.description.guestAddress ?? 0 } }

    /// The mapping that holds guest address `address`, the offset in it, and the bytes from there to
    /// the region's end. Traps where no region does.
    public func place(_ address: UInt64) -> (mapping: Mapping, offset: Int, room: Int) {
        for region in regions {
            let offset = address &- region.description.guestAddress
            guard offset < region.description.byteCount else { continue }
            let inFile = Int(region.description.fileOffset + offset)
            return (region.memory.mapping, inFile, Int(region.description.byteCount - offset))
        }
        preconditionFailure("no guest memory at \(address)")
    }

    /// The user address of guest address `address`.
    public func userAddress(_ address: UInt64) -> UInt64 {
        for region in regions.map(\.description) {
            let offset = address &- region.guestAddress
            if offset < region.byteCount { return region.userAddress + offset }
        }
        preconditionFailure("no guest memory at \(address)")
    }

    /// Writes bytes, across regions that follow each other.
    public func write(_ bytes: [UInt8], at address: UInt64) {
        var done = 0
        while done < bytes.count {
            let (mapping, offset, room) = place(address + UInt64(done))
            let count = min(room, bytes.count - done)
            mapping.write(bytes.span.extracting(done..<done + count), at: offset)
            done += count
        }
    }

    /// Reads bytes, across regions that follow each other.
    public func read(_ count: Int, at address: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count {
            let (mapping, offset, room) = place(address + UInt64(bytes.count))
            bytes += mapping.bytes(at: offset, count: min(room, count - bytes.count))
        }
        return bytes
    }

    public func fill(_ value: UInt8, count: Int, at address: UInt64) {
        write([UInt8](repeating: value, count: count), at: address)
    }
}
