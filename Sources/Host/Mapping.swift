import CLinux
import Synchronization

/// Shared memory mapped into this process, unmapped when the last owner lets go.
///
/// Invariant: `base ..< base + count` stays mapped, readable and writable, for the life of the
/// object. Others write to it at any time, so words that matter are read through atomics, once.
@safe
public final class Mapping: @unchecked Sendable {
    @usableFromInline let base: UnsafeMutableRawPointer
    /// Bytes that may be touched.
    public let count: Int
    private let mappedBytes: Int
    /// The guard against missing pages, or -1 for memory that nobody can take away.
    private let guardSlot: Int32

    init(base: UnsafeMutableRawPointer, count: Int, mappedBytes: Int, guardSlot: Int32 = -1) {
        unsafe self.base = base
        self.count = count
        self.mappedBytes = mappedBytes
        self.guardSlot = guardSlot
    }

    deinit {
        if guardSlot >= 0 { clinux_unguard(guardSlot) }
        unsafe munmap(base, mappedBytes)
    }

    /// Set up once, before the first mapping that needs it.
    private static let isCatching = clinux_catch_bus_errors() == 0

    /// How often, in all of this process, pages of shared memory were found missing. A cheap look,
    /// before asking each mapping.
    @inline(__always)
    public static var losses: UInt64 { clinux_bus_faults() }

    /// Whether the file behind the memory was shortened under us. The lost pages are zeroes of our
    /// own since, so that touching them hurts nobody, and means nothing.
    public var isLost: Bool { guardSlot >= 0 && clinux_guard_faults(guardSlot) > 0 }

    /// Maps `count` bytes of `file` from its start, shared. The length mapped is rounded up to
    /// `pageBytes`, the page of what backs the file. Kept out of core dumps.
    public static func shared(
        _ file: borrowing OwnedFD, count: Int, pageBytes: Int
    ) throws(SystemError) -> Mapping {
        let (padded, overflow) = count.addingReportingOverflow(pageBytes - 1)
        guard count > 0, pageBytes > 0, !overflow else { throw SystemError("mmap", EINVAL) }
        let length = padded / pageBytes * pageBytes
        let flags = Int32(MAP_SHARED | MAP_NORESERVE)
        let base = unsafe mmap(nil, length, PROT_READ | PROT_WRITE, flags, file.raw, 0)
        guard let base = unsafe base, unsafe clinux_mapping_failed(base) == 0 else {
            throw .last("mmap")
        }
        // The guest's secrets are not ours to write to disk.
        _ = unsafe madvise(base, length, Int32(MADV_DONTDUMP))
        let slot = isCatching ? unsafe clinux_guard(base, length, pageBytes) : -1
        return unsafe Mapping(base: base, count: count, mappedBytes: length, guardSlot: slot)
    }

    /// Fresh private zeroes, given pages only as they are touched.
    public static func anonymous(count: Int) throws(SystemError) -> Mapping {
        guard count > 0 else { throw SystemError("mmap", EINVAL) }
        let flags = Int32(MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)
        let base = unsafe mmap(nil, count, PROT_READ | PROT_WRITE, flags, -1, 0)
        guard let base = unsafe base, unsafe clinux_mapping_failed(base) == 0 else {
            throw .last("mmap")
        }
        return unsafe Mapping(base: base, count: count, mappedBytes: count)
    }

    /// The address of byte 0, for the rooms that may work with pointers.
    @inlinable
    @unsafe
    public var baseAddress: UnsafeMutableRawPointer { unsafe base }

    // Bounds-checked access from here on: a range outside is the caller's error and traps.

    @inlinable
    @inline(__always)
    func check(_ offset: Int, _ bytes: Int) {
        precondition(offset >= 0 && bytes >= 0 && offset <= count && bytes <= count - offset)
    }

    /// Copies bytes out to private memory.
    public func read(at offset: Int, into bytes: inout MutableSpan<UInt8>) {
        check(offset, bytes.count)
        unsafe bytes.withUnsafeMutableBufferPointer {
            guard let target = $0.baseAddress else { return }
            unsafe memcpy(target, base + offset, $0.count)
        }
    }

    /// Copies `count` bytes out into a new array.
    public func bytes(at offset: Int, count length: Int) -> [UInt8] {
        check(offset, length)
        return unsafe [UInt8](UnsafeRawBufferPointer(start: base + offset, count: length))
    }

    /// Copies bytes in.
    public func write(_ bytes: Span<UInt8>, at offset: Int) {
        check(offset, bytes.count)
        unsafe bytes.withUnsafeBufferPointer {
            guard let source = $0.baseAddress else { return }
            unsafe memcpy(base + offset, source, $0.count)
        }
    }

    /// Copies `count` bytes from one place to another; the two may overlap.
    public func move(from source: Int, to target: Int, count length: Int) {
        check(source, length)
        check(target, length)
        unsafe memmove(base + target, base + source, length)
    }

    /// Sets `count` bytes to `value`.
    public func fill(_ value: UInt8, at offset: Int, count length: Int) {
        check(offset, length)
        unsafe memset(base + offset, Int32(value), length)
    }

    /// Sets `count` bytes of private memory to zero and gives the whole pages among them back.
    public func clear(at offset: Int, count length: Int) {
        check(offset, length)
        let page = 4096
        let first = (offset + page - 1) / page * page
        let end = (offset + length) / page * page
        guard first < end else { return fill(0, at: offset, count: length) }
        fill(0, at: offset, count: first - offset)
        fill(0, at: end, count: offset + length - end)
        _ = unsafe madvise(base + first, end - first, Int32(MADV_DONTNEED))
    }

    /// Reads a little-endian word that the other side may write at any time. `offset` must be
    /// a multiple of the word's size.
    @inlinable
    @inline(__always)
    public func load16(at offset: Int, acquiring: Bool = false) -> UInt16 {
        check(offset, 2)
        precondition(offset & 1 == 0)
        let word = unsafe (base + offset).assumingMemoryBound(to: Atomic<UInt16>.self)
        let raw =
            acquiring
            ? unsafe word.pointee.load(ordering: .acquiring)
            : unsafe word.pointee.load(ordering: .relaxed)
        return UInt16(littleEndian: raw)
    }

    /// Writes a little-endian word that the other side may read at any time.
    @inlinable
    @inline(__always)
    public func store16(_ value: UInt16, at offset: Int, releasing: Bool = false) {
        check(offset, 2)
        precondition(offset & 1 == 0)
        let word = unsafe (base + offset).assumingMemoryBound(to: Atomic<UInt16>.self)
        if releasing {
            unsafe word.pointee.store(value.littleEndian, ordering: .releasing)
        } else {
            unsafe word.pointee.store(value.littleEndian, ordering: .relaxed)
        }
    }

    @inlinable
    @inline(__always)
    public func load32(at offset: Int) -> UInt32 {
        check(offset, 4)
        precondition(offset & 3 == 0)
        let word = unsafe (base + offset).assumingMemoryBound(to: Atomic<UInt32>.self)
        return unsafe UInt32(littleEndian: word.pointee.load(ordering: .relaxed))
    }

    @inlinable
    @inline(__always)
    public func store32(_ value: UInt32, at offset: Int) {
        check(offset, 4)
        precondition(offset & 3 == 0)
        let word = unsafe (base + offset).assumingMemoryBound(to: Atomic<UInt32>.self)
        unsafe word.pointee.store(value.littleEndian, ordering: .relaxed)
    }

    @inlinable
    @inline(__always)
    public func load64(at offset: Int) -> UInt64 {
        check(offset, 8)
        precondition(offset & 7 == 0)
        let word = unsafe (base + offset).assumingMemoryBound(to: Atomic<UInt64>.self)
        return unsafe UInt64(littleEndian: word.pointee.load(ordering: .relaxed))
    }

    @inlinable
    @inline(__always)
    public func store64(_ value: UInt64, at offset: Int, releasing: Bool = false) {
        check(offset, 8)
        precondition(offset & 7 == 0)
        let word = unsafe (base + offset).assumingMemoryBound(to: Atomic<UInt64>.self)
        if releasing {
            unsafe word.pointee.store(value.littleEndian, ordering: .releasing)
        } else {
            unsafe word.pointee.store(value.littleEndian, ordering: .relaxed)
        }
    }

    @inlinable
    @inline(__always)
    public func load8(at offset: Int) -> UInt8 {
        check(offset, 1)
        let byte = unsafe (base + offset).assumingMemoryBound(to: Atomic<UInt8>.self)
        return unsafe byte.pointee.load(ordering: .relaxed)
    }

    @inlinable
    @inline(__always)
    public func store8(_ value: UInt8, at offset: Int) {
        check(offset, 1)
        let byte = unsafe (base + offset).assumingMemoryBound(to: Atomic<UInt8>.self)
        unsafe byte.pointee.store(value, ordering: .relaxed)
    }

    /// A full fence, between a store of ours and a load of theirs.
    @inlinable
    @inline(__always)
    public static func fullFence() { atomicMemoryFence(ordering: .sequentiallyConsistent) }
}
