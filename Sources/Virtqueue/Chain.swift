import GuestMemory
import Host
import VirtioSpec

/// A request that the driver handed over: taken from a queue once, given back to it once.
///
/// The token says which chain it is; its buffers are in the `ChainBuffers` that `next` filled. One
/// that is dropped would leave the driver waiting for ever, so dropping one traps.
@frozen
public struct Chain: ~Copyable, Sendable {
    /// The first descriptor's index, or the buffer id on a packed ring: a number below the queue's
    /// size that no other chain in flight has.
    public let head: UInt16

    @inlinable
    @inline(__always)
    init(head: UInt16) { self.head = head }

    @inlinable
    deinit { Self.dropped() }

    @usableFromInline
    static func dropped() { preconditionFailure("a chain was dropped, not completed") }

    @inlinable
    @inline(__always)
    consuming func end() -> UInt16 {
        let head = head
        discard self
        return head
    }
}

/// One chain's buffers, translated: those the device reads, then those it writes. Allocated once
/// per worker and filled again for every chain.
@frozen
public struct ChainBuffers: ~Copyable {
    public var readable: IOVectors
    public var writable: IOVectors

    public init() {
        readable = IOVectors(capacity: QueueLimits.buffers)
        writable = IOVectors(capacity: QueueLimits.buffers)
    }

    @inlinable
    @inline(__always)
    mutating func removeAll() {
        readable.removeAll()
        writable.removeAll()
    }

    /// Adds one descriptor's buffer of the chain `head`, translated and judged.
    @inlinable
    @inline(__always)
    mutating func add(
        _ address: UInt64, _ length: UInt32, isWritable: Bool, head: UInt16,
        _ memory: inout GuestMemory
    ) throws(QueueViolation) {
        let lookup: GuestMemory.Lookup
        if isWritable {
            lookup = memory.appendAtOnce(address, length, to: &writable)
        } else {
            guard writable.count == 0 else { throw .readableAfterWritable(head: head) }
            lookup = memory.appendAtOnce(address, length, to: &readable)
        }
        guard lookup != .found else { return }
        try addElsewhere(address, length, isWritable: isWritable, head: head, &memory)
    }

    /// The same for a buffer that is not in the region hit last, or in none, or has no room.
    @usableFromInline
    @inline(never)
    mutating func addElsewhere(
        _ address: UInt64, _ length: UInt32, isWritable: Bool, head: UInt16,
        _ memory: inout GuestMemory
    ) throws(QueueViolation) {
        let lookup =
            isWritable
            ? memory.append(address, length, to: &writable)
            : memory.append(address, length, to: &readable)
        switch lookup {
        case .found: break
        case .unmapped, .elsewhere:
            throw .unmapped(head: head, address: address, bytes: length)
        case .full: throw .tooManyBuffers(head: head)
        }
    }

    /// Whether the bytes to read and those to write can each be counted in 32 bits.
    @inlinable
    @inline(__always)
    func areCountable() -> Bool { (readable.byteCount | writable.byteCount) >> 32 == 0 }
}

extension PrivateTable {
    /// Copies the indirect table of the chain `head` out of guest memory. Returns its entries.
    @inlinable
    @inline(__always)
    mutating func copy(
        _ address: UInt64, bytes: UInt32, head: UInt16, _ memory: inout GuestMemory
    ) throws(QueueViolation) -> Int {
        let count = Int(bytes / UInt32(SplitRingLayout.descriptorBytes))
        let rest = bytes % UInt32(SplitRingLayout.descriptorBytes)
        guard rest == 0, count > 0, count <= capacity else {
            throw .indirectLength(head: head, bytes: bytes)
        }
        guard memory.read(address, count: count, into: &self) else {
            throw .unmapped(head: head, address: address, bytes: bytes)
        }
        return count
    }
}

/// What a chain may hold at most.
public enum QueueLimits {
    /// Descriptors of one indirect table. The spec's limit is the queue's size (virtio 1.3
    /// §2.7.5.3.1), but guests exceed it and QEMU lets them, up to this.
    public static let indirectTable = 1024
    /// Buffers of one chain after translation: every descriptor that a ring and one table can give
    /// at the usual sizes, and a piece more for each region border one of them crosses.
    public static let buffers = 2 * indirectTable + 512
}

/// The driver broke the ring. The queue stays latched: nothing more is taken from it, what is in
/// flight still completes.
@frozen
public enum QueueViolation: Error, Equatable, Sendable {
    /// More chains made available than the ring has entries: by how many the index moved.
    case indexJump(UInt16)
    case headOutOfRange(UInt16)
    /// The chain was made available again before it was given back.
    case headInFlight(UInt16)
    case nextOutOfRange(head: UInt16, next: UInt16)
    /// A chain with more descriptors than there are: it must go in a circle.
    case chainTooLong(head: UInt16)
    /// A buffer to read after one to write (virtio 1.3 §2.7.4.2).
    case readableAfterWritable(head: UInt16)
    case nestedIndirect(head: UInt16)
    case indirectWithNext(head: UInt16)
    /// A table whose bytes are none, too many, or no multiple of a descriptor's.
    case indirectLength(head: UInt16, bytes: UInt32)
    /// A buffer or a table with a byte outside the guest's memory.
    case unmapped(head: UInt16, address: UInt64, bytes: UInt32)
    case tooManyBuffers(head: UInt16)
    /// Readable or writable bytes that do not fit 32 bits.
    case tooManyBytes(head: UInt16)
    /// What an earlier device left in flight can't be told.
    case inflight(InflightFault)
}
