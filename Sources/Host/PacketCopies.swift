import CLinux

/// Packets that are to be copied from one list of buffers into another, a burst at a time.
///
/// A store to memory that another processor has waits for it, and all stores after it wait too. So a
/// packet that is copied between others' work holds up that work; many that are copied in a row wait
/// for each other's memory together.
///
/// Invariant: every buffer was valid when it was added, and whoever added it keeps it mapped until the
/// copies are made.
@safe
@frozen
public struct PacketCopies: ~Copyable, Sendable {
    @safe
    @frozen
    @usableFromInline
    struct Entry {
        @usableFromInline let target: UnsafeMutableRawPointer
        @usableFromInline let source: UnsafeMutableRawPointer
        @usableFromInline let count: UInt32
        @usableFromInline let header: UInt16
        @usableFromInline let isJudged: Bool
        @usableFromInline let head: FrameHead

        @inlinable
        @inline(__always)
        init(
            _ target: UnsafeMutableRawPointer, _ source: UnsafeMutableRawPointer, _ count: UInt32,
            _ header: UInt16, _ head: FrameHead?
        ) {
            unsafe self.target = target
            unsafe self.source = source
            self.count = count
            self.header = header
            isJudged = head != nil
            self.head = head ?? FrameHead()
        }
    }

    @usableFromInline nonisolated(unsafe) let base: UnsafeMutablePointer<Entry>
    @usableFromInline let capacity: Int
    @usableFromInline var end = 0

    public init(capacity: Int) {
        self.capacity = capacity
        unsafe base = UnsafeMutablePointer<Entry>.allocate(capacity: max(1, capacity))
    }

    deinit { unsafe base.deallocate() }

    /// Adds a packet: `count` bytes of `source` from `offset` on, to stand in `target` behind a header
    /// of 10 or 12 bytes. False, and nothing is added, where either side has it in several pieces, or
    /// there is no room for another.
    ///
    /// - Parameter head: what the packet begins with, whatever its sender has written there since it
    ///   was looked at; nil where nobody has looked.
    @inlinable
    @inline(__always)
    public mutating func add(
        _ source: borrowing IOVectors, at offset: Int, count: Int, _ head: FrameHead?,
        to target: borrowing IOVectors, header: Int
    ) -> Bool {
        precondition(offset >= 0 && count >= 0 && (header == 10 || header == 12))
        guard end < capacity, count <= UInt32.max,
            head == nil || count >= FrameHead.bytes,
            let from = unsafe source.place(offset, count),
            let to = unsafe target.place(0, header &+ count)
        else { return false }
        unsafe base[end] = Entry(
            to, from, UInt32(truncatingIfNeeded: count), UInt16(truncatingIfNeeded: header), head)
        end &+= 1
        return true
    }

    /// Makes the copies, each behind a header of these words, and forgets them.
    @inlinable
    @inline(__always)
    public mutating func make(_ low: UInt64, _ high: UInt32) {
        var index = 0
        while index < end {
            unsafe Self.make(base + index, low, high)
            index &+= 1
        }
        end = 0
    }

    // By its place: a copy of the entry would have to wait for what was just written of it.
    @inlinable
    @inline(__always)
    static func make(_ entry: UnsafeMutablePointer<Entry>, _ low: UInt64, _ high: UInt32) {
        let header = unsafe Int(entry.pointee.header)
        unsafe IOVectors.storeHeader(entry.pointee.target, low, high, header)
        let packet = unsafe entry.pointee.target + header
        unsafe packet.copyMemory(
            from: entry.pointee.source, byteCount: Int(entry.pointee.count))
        if unsafe entry.pointee.isJudged { unsafe entry.pointee.head.store(at: packet) }
    }
}
