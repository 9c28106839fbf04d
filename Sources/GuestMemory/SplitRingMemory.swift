import Host
import Synchronization
import VirtioSpec

/// Where a ring's three parts are, by user address.
public struct RingAddresses: Equatable, Sendable {
    public var descriptors: UInt64
    public var available: UInt64
    public var used: UInt64

    public init(descriptors: UInt64, available: UInt64, used: UInt64) {
        self.descriptors = descriptors
        self.available = available
        self.used = used
    }
}

extension GuestMap {
    /// The host address of a ring's part, `bytes` long, where it lies as the spec demands.
    func place(
        _ name: String, _ address: UInt64, _ alignment: UInt64, _ bytes: Int
    ) throws(RingPlacementFault) -> UnsafeMutableRawPointer {
        guard let host = unsafe hostAddress(user: address, count: bytes) else {
            throw .outsideMemory(name)
        }
        // The mapping's alignment carries over to the guest's view, so ours is what counts.
        guard UInt64(UInt(bitPattern: host)) % alignment == 0 else { throw .misaligned(name) }
        return unsafe host
    }
}

/// Why a ring can't be placed.
public enum RingPlacementFault: Error, Equatable, Sendable {
    /// The named part is not aligned as the spec demands (virtio 1.3 §2.7, §2.8).
    case misaligned(String)
    /// The named part is not wholly inside one region of the guest's memory.
    case outsideMemory(String)
}

/// A queue size that split rings allow: a power of two from 1 to 32768.
@frozen
public struct QueueSize: Hashable, Sendable {
    public let count: UInt16
    @usableFromInline let mask: Int

    public init?(_ raw: UInt32) {
        guard raw > 0, raw <= largestQueueSize, raw & (raw - 1) == 0 else { return nil }
        count = UInt16(raw)
        mask = Int(raw) - 1
    }

    @inlinable
    @inline(__always)
    public func slot(_ index: UInt16) -> Int { Int(index) & mask }
}

/// A split ring in the guest's memory: every access to its words, each atomic and each done once.
///
/// Invariant: the three parts are aligned and wholly inside regions of `map`, which this value
/// keeps mapped. Slots are masked and descriptor indices checked, so no access leaves the parts.
@safe
@frozen
public struct SplitRingMemory: ~Copyable {
    public let size: QueueSize
    @usableFromInline let map: GuestMap
    @usableFromInline let descriptors: UnsafeMutableRawPointer
    @usableFromInline let available: UnsafeMutableRawPointer
    @usableFromInline let used: UnsafeMutableRawPointer

    public init(
        _ map: GuestMap, _ addresses: RingAddresses, size: QueueSize
    ) throws(RingPlacementFault) {
        let count = size.count
        let descriptors = unsafe try map.place(
            "descriptor table", addresses.descriptors, SplitRingLayout.descriptorAlignment,
            SplitRingLayout.descriptorTableBytes(size: count))
        let available = unsafe try map.place(
            "available ring", addresses.available, SplitRingLayout.availableAlignment,
            SplitRingLayout.availableBytes(size: count))
        let used = unsafe try map.place(
            "used ring", addresses.used, SplitRingLayout.usedAlignment,
            SplitRingLayout.usedBytes(size: count))
        unsafe self.descriptors = descriptors
        unsafe self.available = available
        unsafe self.used = used
        self.size = size
        self.map = map
    }

    /// The descriptor at `index`, read in two loads, or nil where the table ends before.
    @inlinable
    @inline(__always)
    public func descriptor(_ index: UInt16) -> Descriptor? {
        guard index < size.count else { return nil }
        let entry = unsafe (descriptors + Int(index) * SplitRingLayout.descriptorBytes)
            .assumingMemoryBound(to: Atomic<UInt64>.self)
        let first = unsafe entry[0].load(ordering: .relaxed)
        let second = unsafe entry[1].load(ordering: .relaxed)
        return Descriptor(words: UInt64(littleEndian: first), UInt64(littleEndian: second))
    }

    /// The available ring's `idx`. Acquires: the entries before it may be read afterwards.
    @inlinable
    @inline(__always)
    public func availableIndex() -> UInt16 {
        unsafe load(available, SplitRingLayout.availableIndex, .acquiring)
    }

    /// The head in the available ring at free-running `index`.
    @inlinable
    @inline(__always)
    public func availableHead(_ index: UInt16) -> UInt16 {
        let offset = SplitRingLayout.availableRing + size.slot(index) * 2
        return unsafe load(available, offset, .relaxed)
    }

    /// Whether the driver's flags ask for no call.
    @inlinable
    @inline(__always)
    public func interruptsSuppressed() -> Bool {
        unsafe load(available, SplitRingLayout.availableFlags, .relaxed)
            & SplitRingLayout.noInterrupt != 0
    }

    /// `used_event`: the used index after which the driver wants a call.
    @inlinable
    @inline(__always)
    public func usedEvent() -> UInt16 {
        unsafe load(available, SplitRingLayout.availableRing + Int(size.count) * 2, .relaxed)
    }

    /// The used ring's `idx` as memory has it; read once, when a ring starts.
    public func usedIndex() -> UInt16 { unsafe load(used, SplitRingLayout.usedIndex, .relaxed) }

    /// Puts (head, written) into the used ring at free-running `index`, seen once published.
    @inlinable
    @inline(__always)
    public func setUsed(_ index: UInt16, head: UInt16, written: UInt32) {
        let entry = unsafe (used + SplitRingLayout.usedRing + size.slot(index) * 8)
            .assumingMemoryBound(to: Atomic<UInt32>.self)
        unsafe entry[0].store(UInt32(head).littleEndian, ordering: .relaxed)
        unsafe entry[1].store(written.littleEndian, ordering: .relaxed)
    }

    /// Makes used entries before `index` the driver's. Releases what was written before.
    @inlinable
    @inline(__always)
    public func publishUsed(_ index: UInt16) {
        let word = unsafe (used + SplitRingLayout.usedIndex)
            .assumingMemoryBound(to: Atomic<UInt16>.self)
        unsafe word.pointee.store(index.littleEndian, ordering: .releasing)
    }

    /// `avail_event`: the available index after which we want a kick.
    @inlinable
    @inline(__always)
    public func setAvailableEvent(_ index: UInt16) {
        let offset = SplitRingLayout.usedRing + Int(size.count) * SplitRingLayout.usedEntryBytes
        unsafe store(used, offset, index)
    }

    /// Our flags: whether we ask for no kicks.
    @inlinable
    @inline(__always)
    public func setKicksSuppressed(_ suppressed: Bool) {
        unsafe store(used, SplitRingLayout.usedFlags, suppressed ? SplitRingLayout.noNotify : 0)
    }

    /// Orders our stores before our next loads: what pairs with the driver's fence between its own.
    @inlinable
    @inline(__always)
    public func fullFence() { atomicMemoryFence(ordering: .sequentiallyConsistent) }

    /// Whether all three parts are zero throughout: a ring that no driver has touched, or one whose
    /// memory is not the guest's.
    public func isUntouched() -> Bool {
        let parts = unsafe [
            (descriptors, SplitRingLayout.descriptorTableBytes(size: size.count)),
            (available, SplitRingLayout.availableBytes(size: size.count)),
        ]
        return unsafe parts.allSatisfy { part in
            unsafe UnsafeRawBufferPointer(start: part.0, count: part.1).allSatisfy { $0 == 0 }
        }
    }

    @usableFromInline
    @frozen
    enum Order { case acquiring, relaxed }

    @inlinable
    @inline(__always)
    func load(_ part: UnsafeMutableRawPointer, _ offset: Int, _ order: Order) -> UInt16 {
        let word = unsafe (part + offset).assumingMemoryBound(to: Atomic<UInt16>.self)
        switch order {
        case .acquiring:
            return unsafe UInt16(littleEndian: word.pointee.load(ordering: .acquiring))
        case .relaxed: return unsafe UInt16(littleEndian: word.pointee.load(ordering: .relaxed))
        }
    }

    @inlinable
    @inline(__always)
    func store(_ part: UnsafeMutableRawPointer, _ offset: Int, _ value: UInt16) {
        let word = unsafe (part + offset).assumingMemoryBound(to: Atomic<UInt16>.self)
        unsafe word.pointee.store(value.littleEndian, ordering: .relaxed)
    }
}
