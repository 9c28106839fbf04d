import Host

/// Where a disk's bytes are kept. Opened once; every queue works through a lane of its own.
public protocol BlockStore: Sendable {
    /// Bytes it holds.
    var byteCount: UInt64 { get }
    /// What it is, for the start-up line: "raw file disk.img".
    var name: String { get }
    /// Whether every request has its outcome when `submit` returns, so that they end in order.
    var answersAtOnce: Bool { get }
}

extension BlockStore {
    public var answersAtOnce: Bool { false }
}

/// One queue's way into a store, made and used on one thread. Requests that the store can't answer
/// at once go to the worker's io_uring under their slot's tag, and come back through `complete`.
public protocol BlockLane: ~Copyable, SendableMetatype {
    associatedtype Store: BlockStore

    /// - Parameters:
    ///   - slots: requests in flight at once; they are numbered from 0.
    ///   - tags: added to a slot, it makes the tag of the slot's operations in the ring.
    ///   - buffers: buffers of the longest request.
    init(_ store: Store, slots: Int, tags: UInt64, buffers: Int) throws(SystemError)

    /// Starts a request. Returns its outcome where it is known at once, or nil: then `slot` is taken
    /// until `complete` returns one.
    mutating func submit(
        _ request: StoreRequest, _ buffers: borrowing IOVectors, slot: Int,
        _ ring: inout IORing
    ) -> StoreOutcome?

    /// Takes the result of an operation tagged `slot`. Returns nil where more of it is under way.
    mutating func complete(slot: Int, result: Int32, _ ring: inout IORing) -> StoreOutcome?

    /// Asks for an early end of the operation in `slot`, which then completes as failed, if it can
    /// be had; the asking completes under `ownTag`.
    mutating func cancel(slot: Int, ownTag: UInt64, _ ring: inout IORing)

    /// Whether the request in `slot` still uses memory of `mapping`.
    func touches(_ mapping: Mapping, slot: Int) -> Bool
}

extension BlockLane where Self: ~Copyable {
    public mutating func cancel(slot: Int, ownTag: UInt64, _ ring: inout IORing) {}
}

/// One thing to do with a store. Ranges lie within it; offsets and counts in bytes.
public struct StoreRequest: Sendable {
    public enum Kind: Sendable {
        /// Fill the buffers.
        case read
        /// Keep what the buffers hold.
        case write
        /// Make everything acknowledged so far stable.
        case flush
        /// The range's contents are of no use any more; its space may be given back.
        case discard
        /// The range reads as zero afterwards; its space may be given back.
        case zeroAndUnmap
        /// The range reads as zero afterwards and keeps its space.
        case zero
    }

    public var kind: Kind
    public var offset: UInt64
    public var count: UInt64
    /// For a write: stable before it is answered. Ranges are made so by a flush after them.
    public var isDurable: Bool

    public init(_ kind: Kind, offset: UInt64 = 0, count: UInt64 = 0, isDurable: Bool = false) {
        self.kind = kind
        self.offset = offset
        self.count = count
        self.isDurable = isDurable
    }
}

/// How a request ended.
public enum StoreOutcome: Equatable, Sendable {
    case ok
    /// The system's error number: EIO, ENOSPC and the like.
    case failed(Int32)
}
