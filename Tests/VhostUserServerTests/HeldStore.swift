import BlockStores
import Host

/// A disk in memory that keeps its answers back until the gate is opened: whatever was asked of it
/// is in flight till then.
final class HeldStore: BlockStore {
    let memory: MemoryStore
    /// Readable once answers may go.
    let gate: EventFD

    init(byteCount: UInt64 = 8 << 20) throws(SystemError) {
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
            let outcome = inner.submit(request, buffers, slot: slot, &ring)
            let waits = ring.waitForInput(store.gate.descriptor.raw, tag: tags + UInt64(slot))
            return waits ? nil : outcome
        }

        mutating func complete(slot: Int, result: Int32, _ ring: inout IORing) -> StoreOutcome? {
            .ok
        }

        func touches(_ mapping: Mapping, slot: Int) -> Bool { true }
    }
}
