import CLinux

/// The 18 bytes at the beginning of a frame, as they lie in memory: little-endian words.
@frozen
public struct FrameHead: Sendable {
    /// Bytes 0 to 7, 8 to 15, and 16 and 17.
    public var low: UInt64
    public var high: UInt64
    public var last: UInt16

    @inlinable public static var bytes: Int { 18 }

    @inlinable
    @inline(__always)
    public init(low: UInt64 = 0, high: UInt64 = 0, last: UInt16 = 0) {
        self.low = low
        self.high = high
        self.last = last
    }

    /// Writes the head to `place`.
    @unsafe
    @inlinable
    @inline(__always)
    func store(at place: UnsafeMutableRawPointer) {
        unsafe place.storeBytes(of: low.littleEndian, as: UInt64.self)
        unsafe place.storeBytes(of: high.littleEndian, toByteOffset: 8, as: UInt64.self)
        unsafe place.storeBytes(of: last.littleEndian, toByteOffset: 16, as: UInt16.self)
    }
}

extension IOVectors {
    /// Reads a frame's head at `offset`, once; zeroes where the list ends before it does.
    @inlinable
    @inline(__always)
    public func frameHead(at offset: Int) -> FrameHead {
        precondition(offset >= 0)
        guard let place = unsafe place(offset, FrameHead.bytes) else {
            return unsafe Self.frameHeadInPieces(base, first, end, offset)
        }
        return unsafe FrameHead(
            low: UInt64(littleEndian: place.loadUnaligned(as: UInt64.self)),
            high: UInt64(littleEndian: place.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
            last: UInt16(littleEndian: place.loadUnaligned(fromByteOffset: 16, as: UInt16.self)))
    }

    @usableFromInline
    @inline(never)
    static func frameHeadInPieces(
        _ base: UnsafeMutablePointer<iovec>, _ first: Int, _ end: Int, _ offset: Int
    ) -> FrameHead {
        var words = (UInt64(0), UInt64(0), UInt64(0))
        unsafe withUnsafeMutablePointer(to: &words) { words in
            let target = UnsafeMutableRawPointer(words)
            unsafe walk(base, first, end, offset, FrameHead.bytes) { source, done, length in
                unsafe memcpy(target + done, source, length)
            }
        }
        return FrameHead(
            low: UInt64(littleEndian: words.0), high: UInt64(littleEndian: words.1),
            last: UInt16(truncatingIfNeeded: UInt64(littleEndian: words.2)))
    }

    /// Writes the first `count` bytes of a frame's head at `offset`, all where there are more, as far
    /// as the list reaches.
    @inlinable
    @inline(__always)
    public func setFrameHead(_ head: FrameHead, at offset: Int, count: Int) {
        precondition(offset >= 0 && count >= 0)
        guard count >= FrameHead.bytes, let place = unsafe place(offset, FrameHead.bytes) else {
            return unsafe Self.setFrameHeadInPieces(
                base, first, end, head, offset, min(count, FrameHead.bytes))
        }
        unsafe head.store(at: place)
    }

    @usableFromInline
    @inline(never)
    static func setFrameHeadInPieces(
        _ base: UnsafeMutablePointer<iovec>, _ first: Int, _ end: Int, _ head: FrameHead,
        _ offset: Int, _ count: Int
    ) {
        var words = (
            head.low.littleEndian, head.high.littleEndian, UInt64(head.last).littleEndian
        )
        unsafe withUnsafeMutablePointer(to: &words) { words in
            let source = UnsafeMutableRawPointer(words)
            unsafe walk(base, first, end, offset, count) { target, done, length in
                unsafe memcpy(target, source + done, length)
            }
        }
    }

    /// Adds the buffers of `other` from byte `offset` on. False, with some of them added, where there
    /// is no room.
    public mutating func append(_ other: borrowing IOVectors, from offset: Int) -> Bool {
        precondition(offset >= 0)
        var isWhole = true
        unsafe other.walk(offset, max(0, other.byteCount - offset)) { address, _, length in
            isWhole = unsafe isWhole && append(address, length)
        }
        return isWhole
    }
}
