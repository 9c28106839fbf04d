import Host
import Synchronization

/// Stores that come after all stores before them, for who reads the memory when we are no more.
///
/// Not release stores: the page may have been taken away by then, and under the thread sanitizer the
/// signal that says so would come while the sanitizer holds a lock, which its handler needs.
extension Mapping {
    func storeInOrder8(_ value: UInt8, at offset: Int) {
        atomicMemoryFence(ordering: .releasing)
        store8(value, at: offset)
    }

    func storeInOrder16(_ value: UInt16, at offset: Int) {
        atomicMemoryFence(ordering: .releasing)
        store16(value, at: offset)
    }

    func storeInOrder32(_ value: UInt32, at offset: Int) {
        atomicMemoryFence(ordering: .releasing)
        store32(value, at: offset)
    }

    func storeInOrder64(_ value: UInt64, at offset: Int) {
        atomicMemoryFence(ordering: .releasing)
        store64(value, at: offset)
    }
}
