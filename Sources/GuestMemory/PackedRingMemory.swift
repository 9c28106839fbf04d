import Host
import Synchronization
import VirtioSpec

/// One entry of a packed ring, as private values (virtio 1.3 §2.8.13).
@frozen
public struct PackedDescriptor: Equatable, Sendable {
    public let address: UInt64
    public let length: UInt32
    public let id: UInt16
    public let flags: UInt16

    /// From the entry's two little-endian words, each read once.
    @inlinable
    @inline(__always)
    public init(words first: UInt64, _ second: UInt64) {
        address = first
        length = UInt32(truncatingIfNeeded: second)
        id = UInt16(truncatingIfNeeded: second >> 32)
        flags = UInt16(truncatingIfNeeded: second >> 48)
    }

    @inlinable public var hasNext: Bool { flags & DescriptorFlags.next != 0 }
    @inlinable public var isWritable: Bool { flags & DescriptorFlags.write != 0 }
    @inlinable public var isIndirect: Bool { flags & DescriptorFlags.indirect != 0 }
}

/// A packed ring in the guest's memory: every access to its words, each atomic and each done once.
///
/// Invariant: the three parts are aligned and wholly inside regions of `map`, which this value
/// keeps mapped. Positions are below its size, so no access leaves the parts.
@safe
@frozen
public struct PackedRingMemory: ~Copyable {
    /// Descriptors, 1 to 32768; any number, not only powers of two (virtio 1.3 §2.8.10.1).
    public let size: UInt16
    @usableFromInline let map: GuestMap
    @usableFromInline let descriptors: UnsafeMutableRawPointer
    /// The driver's event suppression structure, which says when it wants a call, and the device's.
    @usableFromInline let driverEvents: UnsafeMutableRawPointer
    @usableFromInline let deviceEvents: UnsafeMutableRawPointer

    /// The three parts come under a split ring's names, as SET_VRING_ADDR has them: the driver's
    /// event structure as `available`, the device's as `used`.
    public init(
        _ map: GuestMap, _ addresses: RingAddresses, size: UInt16
    ) throws(RingPlacementFault) {
        precondition(size > 0 && UInt32(size) <= largestQueueSize)
        let descriptors = unsafe try map.place(
            "descriptor ring", addresses.descriptors, PackedRingLayout.descriptorAlignment,
            PackedRingLayout.descriptorRingBytes(size: size))
        let driverEvents = unsafe try map.place(
            "driver event suppression structure", addresses.available,
            PackedRingLayout.eventAlignment, PackedRingLayout.eventBytes)
        let deviceEvents = unsafe try map.place(
            "device event suppression structure", addresses.used,
            PackedRingLayout.eventAlignment, PackedRingLayout.eventBytes)
        unsafe self.descriptors = descriptors
        unsafe self.driverEvents = driverEvents
        unsafe self.deviceEvents = deviceEvents
        self.size = size
        self.map = map
    }

    @inlinable
    @inline(__always)
    func entry(_ position: RingPosition) -> UnsafeMutableRawPointer {
        assert(position.index < size)
        let offset = Int(position.index) &* PackedRingLayout.descriptorBytes
        return unsafe descriptors + offset
    }

    /// A descriptor's flags. Acquires: what the driver wrote before them may be read afterwards.
    @inlinable
    @inline(__always)
    public func flags(_ position: RingPosition) -> UInt16 {
        let word = unsafe (entry(position) + PackedRingLayout.flagsOffset)
            .assumingMemoryBound(to: Atomic<UInt16>.self)
        return unsafe UInt16(littleEndian: word.pointee.load(ordering: .acquiring))
    }

    /// A descriptor, read in two loads.
    @inlinable
    @inline(__always)
    public func descriptor(_ position: RingPosition) -> PackedDescriptor {
        let words = unsafe entry(position).assumingMemoryBound(to: Atomic<UInt64>.self)
        let first = unsafe words[0].load(ordering: .relaxed)
        let second = unsafe words[1].load(ordering: .relaxed)
        return PackedDescriptor(words: UInt64(littleEndian: first), UInt64(littleEndian: second))
    }

    /// Puts (id, written) into a used descriptor, which is the driver's once its flags say so.
    @inlinable
    @inline(__always)
    public func setUsed(_ position: RingPosition, id: UInt16, written: UInt32) {
        let entry = unsafe entry(position)
        let length = unsafe (entry + PackedRingLayout.lengthOffset)
            .assumingMemoryBound(to: Atomic<UInt32>.self)
        unsafe length.pointee.store(written.littleEndian, ordering: .relaxed)
        let word = unsafe (entry + PackedRingLayout.idOffset)
            .assumingMemoryBound(to: Atomic<UInt16>.self)
        unsafe word.pointee.store(id.littleEndian, ordering: .relaxed)
    }

    /// A descriptor's flags. `releasing` makes all that was written before the driver's.
    @inlinable
    @inline(__always)
    public func setFlags(_ position: RingPosition, _ flags: UInt16, releasing: Bool) {
        let word = unsafe (entry(position) + PackedRingLayout.flagsOffset)
            .assumingMemoryBound(to: Atomic<UInt16>.self)
        if releasing {
            unsafe word.pointee.store(flags.littleEndian, ordering: .releasing)
        } else {
            unsafe word.pointee.store(flags.littleEndian, ordering: .relaxed)
        }
    }

    /// When the driver wants a call: offset with wrap counter, and flags, both read at once.
    @inlinable
    @inline(__always)
    public func driverEvent() -> (place: UInt16, flags: UInt16) {
        let word = unsafe driverEvents.assumingMemoryBound(to: Atomic<UInt32>.self)
        let both = unsafe UInt32(littleEndian: word.pointee.load(ordering: .relaxed))
        return (UInt16(truncatingIfNeeded: both), UInt16(truncatingIfNeeded: both >> 16))
    }

    /// When we want a kick.
    @inlinable
    @inline(__always)
    public func setDeviceEvent(place: UInt16, flags: UInt16) {
        let word = unsafe deviceEvents.assumingMemoryBound(to: Atomic<UInt32>.self)
        let both = UInt32(place) | UInt32(flags) << 16
        unsafe word.pointee.store(both.littleEndian, ordering: .relaxed)
    }

    /// Orders our stores before our next loads: what pairs with the driver's fence between its own.
    @inlinable
    @inline(__always)
    public func fullFence() { atomicMemoryFence(ordering: .sequentiallyConsistent) }

    /// Whether the descriptors are zero throughout: a ring that no driver has touched, or one whose
    /// memory is not the guest's.
    public func isUntouched() -> Bool {
        let bytes = PackedRingLayout.descriptorRingBytes(size: size)
        return unsafe UnsafeRawBufferPointer(start: descriptors, count: bytes)
            .allSatisfy { $0 == 0 }
    }
}
