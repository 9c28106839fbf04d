import BlockStores
import Host
import Synchronization

/// A disk in memory that keeps its answers back until the gate is opened: whatever was asked of it
/// is in flight till then.
final class HeldStore: BlockStore {
    let memory: MemoryStore
    /// Readable once answers may go.
    let gate: EventFD
    /// Nothing that was asked of it can be cancelled.
    let isStubborn: Bool
    /// Requests that came.
    let requests = Atomic<Int>(0)

    init(byteCount: UInt64 = 8 << 20, isStubborn: Bool = false) throws(SystemError) {
        self.isStubborn = isStubborn
        memory = try MemoryStore(byteCount: byteCount)
        gate = try EventFD()
    }

    var byteCount: UInt64 { memory.byteCount }
    var name: String { "held" }

    func open() { gate.signal() }
    func close() { gate.drain() }

    struct Lane: BlockLane, ~Copyable {
        private var inner: MemoryStore.Lane
        private let store: HeldStore
        private let tags: UInt64

        init(_ store: HeldStore, slots: Int, tags: UInt64, buffers: Int) {
            inner = MemoryStore.Lane(store.memory, slots: slots, tags: tags, buffers: buffers)
            self.store = store
            self.tags = tags
        }

        mutating func submit(
            _ request: StoreRequest, _ buffers: borrowing IOVectors, slot: Int,
            _ ring: inout IORing
        ) -> StoreOutcome? {
            store.requests.wrappingAdd(1, ordering: .relaxed)
            let outcome = inner.submit(request, buffers, slot: slot, &ring)
            let waits = ring.waitForInput(store.gate.descriptor.raw, tag: tags + UInt64(slot))
            return waits ? nil : outcome
        }

        mutating func complete(slot: Int, result: Int32, _ ring: inout IORing) -> StoreOutcome? {
            .ok
        }

        mutating func cancel(slot: Int, ownTag: UInt64, _ ring: inout IORing) {
            guard !store.isStubborn else { return }
            _ = ring.cancel(tag: tags + UInt64(slot), ownTag: ownTag)
        }

        func touches(_ mapping: Mapping, slot: Int) -> Bool { true }
    }
}
