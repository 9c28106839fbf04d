import CLinux
import Synchronization

/// A list of buffers for the kernel or for a copy: addresses and lengths, in order.
///
/// Invariant: every buffer was valid when it was appended, and whoever appended it keeps it mapped
/// until the list is emptied. The list itself is allocated once and never grows.
@safe
@frozen
public struct IOVectors: ~Copyable, Sendable {
    @usableFromInline nonisolated(unsafe) let base: UnsafeMutablePointer<iovec>
    public let capacity: Int
    @usableFromInline var first = 0
    @usableFromInline var end = 0
    @usableFromInline var total = 0
    /// The address at which the last buffer ends, if another may continue it; or 0.
    @usableFromInline var tail: UInt = 0

    /// Bytes in all buffers together.
    @inlinable public var byteCount: Int { total }

    /// Buffers in the list.
    @inlinable public var count: Int { end &- first }

    public init(capacity: Int) {
        self.capacity = capacity
        unsafe base = UnsafeMutablePointer<iovec>.allocate(capacity: max(1, capacity))
    }

    deinit { unsafe base.deallocate() }

    @inlinable
    @inline(__always)
    public mutating func removeAll() {
        first = 0
        end = 0
        total = 0
        tail = 0
    }

    /// Adds a buffer of at least one byte at the end; one that continues the last buffer in memory
    /// becomes part of it. Returns false, and adds nothing, where the list is full.
    @unsafe
    @inlinable
    @inline(__always)
    public mutating func append(_ address: UnsafeMutableRawPointer, _ bytes: Int) -> Bool {
        // No sum here can overflow: the buffers lie in the address space, side by side.
        let place = UInt(bitPattern: address)
        if place == tail {
            unsafe base[end &- 1].iov_len &+= bytes
        } else {
            guard end < capacity else { return false }
            unsafe base[end] = iovec(iov_base: address, iov_len: bytes)
            end &+= 1
        }
        tail = place &+ UInt(bitPattern: bytes)
        total &+= bytes
        return true
    }

    /// Adds `count` bytes of `mapping`, which the caller keeps. False where the list is full.
    public mutating func append(_ mapping: Mapping, at offset: Int = 0, count: Int) -> Bool {
        mapping.check(offset, count)
        if count == 0 { return true }
        return unsafe append(mapping.base + offset, count)
    }

    /// Forgets the first `bytes` bytes, or all there are.
    public mutating func dropFirst(_ bytes: Int) {
        tail = 0
        var left = min(bytes, byteCount)
        total -= left
        while left > 0 {
            let length = unsafe base[first].iov_len
            if length > left {
                unsafe base[first].iov_base += left
                unsafe base[first].iov_len -= left
                return
            }
            left -= length
            first += 1
        }
    }

    /// Forgets the last `bytes` bytes, or all there are.
    public mutating func dropLast(_ bytes: Int) {
        tail = 0
        var left = min(bytes, byteCount)
        total -= left
        while left > 0 {
            let length = unsafe base[end - 1].iov_len
            if length > left {
                unsafe base[end - 1].iov_len -= left
                return
            }
            left -= length
            end -= 1
        }
    }

    /// Reads 16 bytes at `offset` as two little-endian words, in one pass. Nil where the list is
    /// shorter.
    public func words(at offset: Int) -> (UInt64, UInt64)? {
        guard offset >= 0, byteCount >= 16, offset <= byteCount - 16 else { return nil }
        var words = (UInt64(0), UInt64(0))
        unsafe withUnsafeMutablePointer(to: &words) { words in
            let target = UnsafeMutableRawPointer(words)
            unsafe walk(offset, 16) { source, done, length in
                unsafe memcpy(target + done, source, length)
            }
        }
        return (UInt64(littleEndian: words.0), UInt64(littleEndian: words.1))
    }

    // What a packet goes through. These touch the list's fields one by one and hand them on as such: a
    // copy of the whole list would read in one piece what was just written in several, and wait until
    // all that was written before has left the processor.

    /// Reads the 10 or 12 bytes of a packet's header at the beginning, as two little-endian words.
    /// Nil where the list is shorter.
    @inlinable
    @inline(__always)
    public func header(_ count: Int) -> (UInt64, UInt32)? {
        precondition(count == 10 || count == 12)
        guard total >= count else { return nil }
        guard unsafe base[first].iov_len >= count else {
            return unsafe Self.headerInPieces(base, first, end, count)
        }
        let start = unsafe UnsafeRawPointer(base[first].iov_base.unsafelyUnwrapped)
        let low = unsafe start.loadUnaligned(as: UInt64.self)
        let high =
            count == 12
            ? unsafe start.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
            : UInt32(unsafe start.loadUnaligned(fromByteOffset: 8, as: UInt16.self).littleEndian)
                .littleEndian
        return (UInt64(littleEndian: low), UInt32(littleEndian: high))
    }

    @usableFromInline
    @inline(never)
    static func headerInPieces(
        _ base: UnsafeMutablePointer<iovec>, _ first: Int, _ end: Int, _ count: Int
    ) -> (UInt64, UInt32) {
        var words = (UInt64(0), UInt64(0))
        unsafe withUnsafeMutablePointer(to: &words) { words in
            let target = UnsafeMutableRawPointer(words)
            unsafe walk(base, first, end, 0, count) { source, done, length in
                unsafe memcpy(target + done, source, length)
            }
        }
        return (
            UInt64(littleEndian: words.0),
            UInt32(truncatingIfNeeded: UInt64(littleEndian: words.1))
        )
    }

    /// Writes the 10 or 12 bytes of a packet's header at the beginning; a shorter list gets what fits.
    @inlinable
    @inline(__always)
    public func setHeader(_ low: UInt64, _ high: UInt32, _ count: Int) {
        precondition(count == 10 || count == 12)
        guard unsafe total >= count && base[first].iov_len >= count else {
            return unsafe Self.setHeaderInPieces(base, first, end, low, high, count)
        }
        unsafe Self.storeHeader(base[first].iov_base.unsafelyUnwrapped, low, high, count)
    }

    /// Writes a packet's header of 10 or 12 bytes to `place`.
    @unsafe
    @inlinable
    @inline(__always)
    static func storeHeader(
        _ place: UnsafeMutableRawPointer, _ low: UInt64, _ high: UInt32, _ count: Int
    ) {
        unsafe place.storeBytes(of: low.littleEndian, as: UInt64.self)
        if count == 12 {
            unsafe place.storeBytes(of: high.littleEndian, toByteOffset: 8, as: UInt32.self)
        } else {
            let short = UInt16(truncatingIfNeeded: high)
            unsafe place.storeBytes(of: short.littleEndian, toByteOffset: 8, as: UInt16.self)
        }
    }

    @usableFromInline
    @inline(never)
    static func setHeaderInPieces(
        _ base: UnsafeMutablePointer<iovec>, _ first: Int, _ end: Int, _ low: UInt64,
        _ high: UInt32, _ count: Int
    ) {
        var words = (low.littleEndian, UInt64(high).littleEndian)
        unsafe withUnsafeMutablePointer(to: &words) { words in
            let source = UnsafeMutableRawPointer(words)
            unsafe walk(base, first, end, 0, count) { target, done, length in
                unsafe memcpy(target, source + done, length)
            }
        }
    }

    /// Copies `count` bytes of `source` from `offset` on into these buffers from `target` on, as far
    /// as both reach. Returns how many there were.
    @inlinable
    @inline(__always)
    @discardableResult
    public func copy(
        at target: Int, from source: borrowing IOVectors, at offset: Int, count: Int
    ) -> Int {
        precondition(target >= 0 && offset >= 0 && count >= 0)
        // Nearly always one buffer holds it all, on either side: the first or, after a header in one
        // of its own, the second.
        if let from = unsafe source.place(offset, count), let to = unsafe place(target, count) {
            unsafe to.copyMemory(from: from, byteCount: count)
            return count
        }
        return unsafe Self.copyInPieces(
            base, first, end, target, source.base, source.first, source.end, offset, count)
    }

    /// Where `count` bytes at `offset` lie, if in one piece of the first two buffers.
    @inlinable
    @inline(__always)
    func place(_ offset: Int, _ count: Int) -> UnsafeMutableRawPointer? {
        guard end > first, total >= count, offset <= total &- count else { return nil }
        let length = unsafe base[first].iov_len
        if offset &+ count <= length { return unsafe base[first].iov_base + offset }
        guard end &- first > 1, offset >= length else { return nil }
        let rest = offset &- length
        guard unsafe rest &+ count <= base[first &+ 1].iov_len else { return nil }
        return unsafe base[first &+ 1].iov_base + rest
    }

    @usableFromInline
    @inline(never)
    static func copyInPieces(
        _ base: UnsafeMutablePointer<iovec>, _ first: Int, _ end: Int, _ target: Int,
        _ source: UnsafeMutablePointer<iovec>, _ sourceFirst: Int, _ sourceEnd: Int,
        _ offset: Int, _ count: Int
    ) -> Int {
        var copied = 0
        unsafe walk(source, sourceFirst, sourceEnd, offset, count) { from, done, length in
            unsafe walk(base, first, end, target + done, length) { to, before, piece in
                unsafe memcpy(to, from + before, piece)
                copied += piece
            }
        }
        return copied
    }

    /// Adds the buffers of `other` at the end. False, with some of them added, where there is no
    /// room.
    public mutating func append(_ other: borrowing IOVectors) -> Bool {
        for index in other.first..<other.end {
            guard unsafe append(other.base[index].iov_base, other.base[index].iov_len) else {
                return false
            }
        }
        return true
    }

    /// Copies `bytes` into the buffers from `offset` on, as far as they reach.
    public func write(_ bytes: Span<UInt8>, at offset: Int) {
        unsafe bytes.withUnsafeBufferPointer { source in
            guard let start = source.baseAddress else { return }
            unsafe walk(offset, source.count) { target, done, length in
                unsafe memcpy(target, start + done, length)
            }
        }
    }

    /// The first bytes, `most` at most, copied out once.
    public func bytes(most: Int) -> [UInt8] {
        let count = min(most, byteCount)
        return unsafe [UInt8](unsafeUninitializedCapacity: count) { target, filled in
            if let start = target.baseAddress {
                unsafe walk(0, count) { source, done, length in
                    unsafe memcpy(start + done, source, length)
                }
            }
            filled = count
        }
    }

    /// Sets all bytes to zero.
    public func clear() {
        unsafe walk(0, byteCount) { target, _, length in unsafe memset(target, 0, length) }
    }

    /// Copies `length` bytes from `mapping` at `source` into the buffers from `offset` on.
    public func fill(at offset: Int, from mapping: Mapping, at source: Int, count length: Int) {
        mapping.check(source, length)
        unsafe walk(offset, length) { target, done, length in
            unsafe memcpy(target, mapping.base + source + done, length)
        }
    }

    /// Copies `length` bytes of the buffers from `offset` on into `mapping` at `target`.
    public func drain(at offset: Int, into mapping: Mapping, at target: Int, count length: Int) {
        mapping.check(target, length)
        unsafe walk(offset, length) { source, done, length in
            unsafe memcpy(mapping.base + target + done, source, length)
        }
    }

    /// Whether every buffer's address is a multiple of `memory` and its length one of `length`,
    /// both powers of two.
    public func isAligned(memory: Int, length: Int) -> Bool {
        var places = 0
        var lengths = 0
        for index in first..<end {
            unsafe places |= Int(bitPattern: base[index].iov_base)
            unsafe lengths |= base[index].iov_len
        }
        return places & (memory - 1) == 0 && lengths & (length - 1) == 0
    }

    /// Whether any buffer has a byte in `range` of `mapping`'s memory.
    public func touches(_ mapping: Mapping) -> Bool {
        let low = unsafe UInt(bitPattern: mapping.base)
        for index in first..<end {
            if unsafe base[index].meets(low, mapping.count) { return true }
        }
        return false
    }

    /// Calls `body` for each piece of `length` bytes from `offset` on: its address, the bytes
    /// before it, its length.
    @inline(__always)
    func walk(
        _ offset: Int, _ length: Int, _ body: (UnsafeMutableRawPointer, Int, Int) -> Void
    ) {
        unsafe Self.walk(base, first, end, offset, length, body)
    }

    @inline(__always)
    static func walk(
        _ base: UnsafeMutablePointer<iovec>, _ first: Int, _ end: Int, _ offset: Int,
        _ length: Int, _ body: (UnsafeMutableRawPointer, Int, Int) -> Void
    ) {
        var skip = offset
        var done = 0
        var index = first
        while done < length, index < end {
            let bytes = unsafe base[index].iov_len
            if skip < bytes {
                let piece = min(bytes - skip, length - done)
                unsafe body(base[index].iov_base + skip, done, piece)
                done += piece
                skip = 0
            } else {
                skip -= bytes
            }
            index += 1
        }
    }

    /// The buffers as the kernel wants them.
    @unsafe
    func withVectors<R>(_ body: (UnsafeMutablePointer<iovec>, Int) -> R) -> R {
        unsafe body(base + first, count)
    }
}

extension iovec {
    /// Whether any byte lies among the `count` bytes from `low` on. A buffer may have begun in one
    /// mapping and go on into the next: those that are neighbours are joined.
    func meets(_ low: UInt, _ count: Int) -> Bool {
        let start = unsafe UInt(bitPattern: iov_base)
        return unsafe start &- low < UInt(count) || low &- start < UInt(iov_len)
    }
}

/// Where one byte of shared memory is, kept until the byte is due.
///
/// Invariant: as for `IOVectors`: whoever keeps one keeps its memory mapped.
@safe
public struct ByteLocation: Sendable {
    nonisolated(unsafe) let address: UnsafeMutablePointer<UInt8>

    /// A driver may have named the same byte to several queues: an atomic store, at no cost.
    public func store(_ value: UInt8) {
        unsafe UnsafeMutableRawPointer(address).assumingMemoryBound(to: Atomic<UInt8>.self)
            .pointee.store(value, ordering: .relaxed)
    }

    /// Whether the byte lies in `mapping`.
    public func isIn(_ mapping: Mapping) -> Bool {
        unsafe UInt(bitPattern: address) &- UInt(bitPattern: mapping.base) < UInt(mapping.count)
    }
}

extension IOVectors {
    /// The last byte of all, or nil where there is none.
    public func lastByte() -> ByteLocation? {
        guard byteCount > 0 else { return nil }
        return unsafe withVectors { vectors, count in
            let last = unsafe vectors[count - 1]
            let byte = unsafe last.iov_base + (last.iov_len - 1)
            return unsafe ByteLocation(address: byte.assumingMemoryBound(to: UInt8.self))
        }
    }
}
