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
        /// Not all of the range is in the region that was hit last.
        case elsewhere
    }

    /// Keeps every region mapped while the view lives.
    public let map: GuestMap
    // The region that was hit last, by value: guest address, size, and where we see it. Before any
    // hit it is one of no size.
    @usableFromInline var start: UInt64 = 0
    @usableFromInline var byteCount: UInt64 = 0
    @usableFromInline var host: UnsafeMutableRawPointer

    public init(_ map: GuestMap) {
        self.map = map
        unsafe host = UnsafeMutableRawPointer(map.entries)
    }

    /// Adds the `length` bytes at guest address `address` to `buffers` if they are at least one and
    /// all in the region that was hit last, as nearly always they are; else adds nothing and returns
    /// `elsewhere`.
    @inlinable
    @inline(__always)
    public mutating func appendAtOnce(
        _ address: UInt64, _ length: UInt32, to buffers: inout IOVectors
    ) -> Lookup {
        let offset = address &- start
        // A length of 0 becomes the largest here.
        guard offset < byteCount, UInt64(length) &- 1 < byteCount &- offset else {
            return .elsewhere
        }
        // Safe: the range ends within the region, and the map keeps the region mapped.
        let place = unsafe host + Int(truncatingIfNeeded: offset)
        return unsafe buffers.append(place, Int(truncatingIfNeeded: length)) ? .found : .full
    }

    /// Adds the `length` bytes at guest address `address` to `buffers`, in pieces where they cross
    /// from one region into the next.
    public mutating func append(
        _ address: UInt64, _ length: UInt32, to buffers: inout IOVectors
    ) -> Lookup {
        var address = address
        var left = UInt64(length)
        // A piece per region at most, since each step ends a region.
        while left > 0 {
            guard let (place, room) = unsafe find(address) else { return .unmapped }
            let piece = min(left, room)
            // Safe: as above.
            guard unsafe buffers.append(place, Int(piece)) else { return .full }
            left -= piece
            // No wrap: no region reaches the upper half of the address space.
            address += piece
        }
        return .found
    }

    /// Copies descriptors at guest address `address` into `table`. False where memory is missing.
    @inlinable
    @inline(__always)
    public mutating func read(
        _ address: UInt64, count: Int, into table: inout PrivateTable
    ) -> Bool {
        let bytes = count * SplitRingLayout.descriptorBytes
        let offset = address &- start
        guard offset < byteCount, UInt64(bytes) <= byteCount &- offset else {
            return readPieces(address, count: count, into: &table)
        }
        unsafe table.copy(host + Int(truncatingIfNeeded: offset), bytes, at: 0)
        table.count = count
        return true
    }

    @usableFromInline
    mutating func readPieces(
        _ address: UInt64, count: Int, into table: inout PrivateTable
    ) -> Bool {
        var address = address
        var done = 0
        let bytes = count * SplitRingLayout.descriptorBytes
        while done < bytes {
            guard let (place, room) = unsafe find(address) else { return false }
            let piece = Int(min(UInt64(bytes - done), room))
            unsafe table.copy(place, piece, at: done)
            done += piece
            address += UInt64(piece)
        }
        table.count = count
        return true
    }

    /// Where we see guest address `address`, and the bytes from there to its region's end.
    private mutating func find(_ address: UInt64) -> (UnsafeMutableRawPointer, UInt64)? {
        guard address &- start < byteCount || search(address) else { return nil }
        let offset = address &- start
        return unsafe (host + Int(truncatingIfNeeded: offset), byteCount &- offset)
    }

    /// Finds the region that holds `address` and remembers it. False where there is none.
    private mutating func search(_ address: UInt64) -> Bool {
        // The last entry that begins at or before the address, by halves.
        var low = 0
        var high = map.regions.count
        while low < high {
            let middle = (low + high) / 2
            if unsafe map.entries[middle].guestAddress <= address {
                low = middle + 1
            } else {
                high = middle
            }
        }
        guard low > 0 else { return false }
        let entry = unsafe map.entries[low - 1]
        guard address &- entry.guestAddress < entry.byteCount else { return false }
        start = entry.guestAddress
        byteCount = entry.byteCount
        unsafe host = entry.host
        return true
    }
}

/// A private copy of an indirect table: what is judged is what is used, whatever the guest writes
/// to its own copy meanwhile. Also spares indirect tables any alignment.
@safe
@frozen
public struct PrivateTable: ~Copyable {
    @usableFromInline let words: UnsafeMutablePointer<UInt64>
    /// Bytes of the descriptors it can hold.
    @usableFromInline let size: Int
    public let capacity: Int
    /// Entries that were copied last.
    @usableFromInline var count = 0

    /// - Parameter capacity: descriptors.
    public init(capacity: Int) {
        self.capacity = capacity
        size = capacity * SplitRingLayout.descriptorBytes
        unsafe words = .allocate(capacity: capacity * 2)
        unsafe words.initialize(repeating: 0, count: capacity * 2)
    }

    deinit { unsafe words.deallocate() }

    @inlinable
    @inline(__always)
    mutating func copy(_ source: UnsafeMutableRawPointer, _ bytes: Int, at offset: Int) {
        let end = UInt(bitPattern: offset) &+ UInt(bitPattern: bytes)
        precondition(offset >= 0 && bytes >= 0 && end <= UInt(bitPattern: size))
        unsafe UnsafeMutableRawPointer(words).advanced(by: offset)
            .copyMemory(from: source, byteCount: bytes)
    }

    /// An entry as a split ring lays it out; nil past the last one.
    @inlinable
    @inline(__always)
    public subscript(index: Int) -> Descriptor? {
        guard let (first, second) = words(index) else { return nil }
        return Descriptor(words: first, second)
    }

    /// An entry as a packed ring lays it out; nil past the last one.
    @inlinable
    @inline(__always)
    public subscript(packed index: Int) -> PackedDescriptor? {
        guard let (first, second) = words(index) else { return nil }
        return PackedDescriptor(words: first, second)
    }

    @inlinable
    @inline(__always)
    func words(_ index: Int) -> (UInt64, UInt64)? {
        // A negative one becomes too large.
        guard UInt(bitPattern: index) < UInt(bitPattern: count) else { return nil }
        let entry = unsafe words + (index &* 2)
        return unsafe (UInt64(littleEndian: entry[0]), UInt64(littleEndian: entry[1]))
    }
}
