import Host
import VirtioSpec

/// A worker's own view of the guest's memory: one snapshot, and where the last look-up hit.
@safe
@frozen
public struct GuestMemory: ~Copyable {
    @frozen
    public enum Lookup: Sendable {
        case found
        /// Some byte of the range is in no region.
        case unmapped
        /// The list has no room for another buffer.
        case full
    }

    /// Keeps every region mapped while the view lives.
    public let map: GuestMap
    // The same as the map's, at hand.
    @usableFromInline let entries: UnsafeMutablePointer<GuestMap.Entry>
    @usableFromInline let count: Int
    @usableFromInline var last = 0

    public init(_ map: GuestMap) {
        self.map = map
        unsafe entries = map.entries
        count = map.regions.count
    }

    /// Adds the `length` bytes at guest address `address` to `buffers`, in pieces where they cross
    /// from one region into the next.
    @inlinable
    @inline(__always)
    public mutating func append(
        _ address: UInt64, _ length: UInt32, to buffers: inout IOVectors
    ) -> Lookup {
        var address = address
        var left = UInt64(length)
        // A piece per region at most, since each step ends a region.
        while left > 0 {
            guard let place = find(address) else { return .unmapped }
            let entry = unsafe entries[place]
            let offset = address &- entry.guestAddress
            let piece = min(left, entry.byteCount - offset)
            // Safe: the piece ends within the region, and the map keeps the region mapped.
            guard unsafe buffers.append(entry.host + Int(offset), Int(piece)) else { return .full }
            left -= piece
            // No wrap: no region reaches the upper half of the address space.
            address += piece
        }
        return .found
    }

    /// Copies descriptors at guest address `address` into `table`. False where memory is missing.
    @inlinable
    public mutating func read(
        _ address: UInt64, count: Int, into table: inout PrivateTable
    ) -> Bool {
        var address = address
        var done = 0
        let bytes = count * SplitRingLayout.descriptorBytes
        while done < bytes {
            guard let place = find(address) else { return false }
            let entry = unsafe entries[place]
            let offset = address &- entry.guestAddress
            let piece = Int(min(UInt64(bytes - done), entry.byteCount - offset))
            unsafe table.copy(entry.host + Int(offset), piece, at: done)
            done += piece
            address += UInt64(piece)
        }
        return true
    }

    @inlinable
    @inline(__always)
    mutating func find(_ address: UInt64) -> Int? {
        if last < count, unsafe entries[last].contains(address) { return last }
        return search(address)
    }

    @usableFromInline
    mutating func search(_ address: UInt64) -> Int? {
        // The last entry that begins at or before the address, by halves.
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if unsafe entries[middle].guestAddress <= address {
                low = middle + 1
            } else {
                high = middle
            }
        }
        guard low > 0, unsafe entries[low - 1].contains(address) else { return nil }
        last = low - 1
        return last
    }
}

extension GuestMap.Entry {
    @inlinable
    @inline(__always)
    func contains(_ address: UInt64) -> Bool { address &- guestAddress < byteCount }
}

/// A private copy of an indirect table: what is judged is what is used, whatever the guest writes
/// to its own copy meanwhile. Also spares indirect tables any alignment.
@safe
@frozen
public struct PrivateTable: ~Copyable {
    @usableFromInline let words: UnsafeMutablePointer<UInt64>
    public let capacity: Int

    /// - Parameter capacity: descriptors.
    public init(capacity: Int) {
        self.capacity = capacity
        unsafe words = .allocate(capacity: capacity * 2)
        unsafe words.initialize(repeating: 0, count: capacity * 2)
    }

    deinit { unsafe words.deallocate() }

    @inlinable
    mutating func copy(_ source: UnsafeMutableRawPointer, _ bytes: Int, at offset: Int) {
        let size = capacity * SplitRingLayout.descriptorBytes
        precondition(offset >= 0 && bytes >= 0 && offset <= size && bytes <= size - offset)
        unsafe UnsafeMutableRawPointer(words).advanced(by: offset)
            .copyMemory(from: source, byteCount: bytes)
    }

    /// An entry as a split ring lays it out.
    @inlinable
    public subscript(index: Int) -> Descriptor {
        let (first, second) = entry(index)
        return Descriptor(words: first, second)
    }

    /// An entry as a packed ring lays it out.
    @inlinable
    public subscript(packed index: Int) -> PackedDescriptor {
        let (first, second) = entry(index)
        return PackedDescriptor(words: first, second)
    }

    @inlinable
    @inline(__always)
    func entry(_ index: Int) -> (UInt64, UInt64) {
        precondition(index >= 0 && index < capacity)
        return unsafe (
            UInt64(littleEndian: words[index * 2]), UInt64(littleEndian: words[index * 2 + 1])
        )
    }
}
