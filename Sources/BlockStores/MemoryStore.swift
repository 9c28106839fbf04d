import Host

/// A disk in this process's memory, gone with it. Pages are taken as they are first written.
public final class MemoryStore: BlockStore {
    public let byteCount: UInt64
    let memory: Mapping

    public init(byteCount: UInt64) throws(SystemError) {
        guard let count = Int(exactly: byteCount) else {
            throw SystemError("mmap", SystemErrorCode.invalid)
        }
        self.byteCount = byteCount
        memory = try Mapping.anonymous(count: count)
    }

    public var name: String { "memory" }
    public var answersAtOnce: Bool { true }

    /// Every request is a copy, done at once.
    public struct Lane: BlockLane, ~Copyable {
        private let memory: Mapping

        public init(_ store: MemoryStore, slots: Int, tags: UInt64, buffers: Int) {
            memory = store.memory
        }

        public mutating func submit(
            _ request: StoreRequest, _ buffers: borrowing IOVectors, slot: Int,
            _ ring: inout IORing
        ) -> StoreOutcome? {
            let offset = Int(request.offset)
            let count = Int(request.count)
            switch request.kind {
            case .read: buffers.fill(at: 0, from: memory, at: offset, count: count)
            case .write: buffers.drain(at: 0, into: memory, at: offset, count: count)
            case .flush: break
            case .discard, .zeroAndUnmap: memory.clear(at: offset, count: count)
            case .zero: memory.fill(0, at: offset, count: count)
            }
            return .ok
        }

        public mutating func complete(
            slot: Int, result: Int32, _ ring: inout IORing
        ) -> StoreOutcome? { nil }

        public func touches(_ mapping: Mapping, slot: Int) -> Bool { false }
    }
}

/// A disk that forgets what is written and reads as zero: for measuring all that lies before it.
public struct NullStore: BlockStore {
    public let byteCount: UInt64

    public init(byteCount: UInt64) { self.byteCount = byteCount }

    public var name: String { "null" }
    public var answersAtOnce: Bool { true }

    public struct Lane: BlockLane, ~Copyable {
        public init(_ store: NullStore, slots: Int, tags: UInt64, buffers: Int) {}

        public mutating func submit(
            _ request: StoreRequest, _ buffers: borrowing IOVectors, slot: Int,
            _ ring: inout IORing
        ) -> StoreOutcome? {
            if request.kind == .read { buffers.clear() }
            return .ok
        }

        public mutating func complete(
            slot: Int, result: Int32, _ ring: inout IORing
        ) -> StoreOutcome? { nil }

        public func touches(_ mapping: Mapping, slot: Int) -> Bool { false }
    }
}
