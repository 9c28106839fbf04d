import Host
import VirtioSpec

/// One descriptor of a packed ring as its bytes are.
public struct PackedDescriptor: Equatable, Sendable {
    public var address: UInt64
    public var length: UInt32
    public var id: UInt16
    public var flags: UInt16

    public init(address: UInt64, length: UInt32, id: UInt16 = 0, flags: UInt16 = 0) {
        self.address = address
        self.length = length
        self.id = id
        self.flags = flags
    }
}

/// The ring's words themselves, for whoever wants to see them or to write nonsense into them.
extension PackedDriverQueue {
    /// Where a slot is in the memory of the descriptor ring.
    func offset(_ slot: UInt16) -> Int {
        descriptorPart.start + Int(slot) * PackedRingLayout.descriptorBytes
    }

    /// Writes a descriptor as it is, its flags last and with a release.
    public func setDescriptor(_ slot: UInt16, _ descriptor: PackedDescriptor) {
        let memory = descriptorPart.memory
        let offset = offset(slot)
        memory.store64(descriptor.address, at: offset)
        memory.store32(descriptor.length, at: offset + PackedRingLayout.lengthOffset)
        memory.store16(descriptor.id, at: offset + PackedRingLayout.idOffset)
        setFlags(slot, descriptor.flags)
    }

    /// What lies there now.
    public func descriptor(_ slot: UInt16) -> PackedDescriptor {
        let flags = flags(slot)
        let memory = descriptorPart.memory
        let offset = offset(slot)
        return PackedDescriptor(
            address: memory.load64(at: offset),
            length: memory.load32(at: offset + PackedRingLayout.lengthOffset),
            id: memory.load16(at: offset + PackedRingLayout.idOffset), flags: flags)
    }

    /// With a release.
    public func setFlags(_ slot: UInt16, _ flags: UInt16) {
        descriptorPart.memory.store16(
            flags, at: offset(slot) + PackedRingLayout.flagsOffset, releasing: true)
    }

    /// With an acquire.
    @inline(__always)
    public func flags(_ slot: UInt16) -> UInt16 {
        descriptorPart.memory.load16(
            at: offset(slot) + PackedRingLayout.flagsOffset, acquiring: true)
    }

    /// Makes a descriptor available at `position`, with the marks that its lap wants; no book is
    /// kept. The device sees it at once.
    public func setAvailable(_ position: PackedPosition, _ descriptor: PackedDescriptor) {
        var marked = descriptor
        marked.flags |= position.availableFlags
        setDescriptor(position.slot, marked)
    }

    /// Whether the device has marked the slot as used in this lap.
    @inline(__always)
    public func isUsed(_ position: PackedPosition) -> Bool {
        flags(position.slot) & (PackedRingLayout.available | PackedRingLayout.used)
            == position.usedFlags
    }

    /// The driver's event suppression structure, which the device reads.
    public func setDriverEvent(_ offWrap: UInt16, flags: UInt16) {
        // Both halves in one word: a device that reads it so never sees half of it.
        availablePart.memory.store32(
            UInt32(offWrap) | UInt32(flags) << 16, at: availablePart.start)
    }

    public func driverEvent() -> (offWrap: UInt16, flags: UInt16) { Self.event(availablePart) }

    /// The device's, which the driver reads.
    public func deviceEvent() -> (offWrap: UInt16, flags: UInt16) { Self.event(usedPart) }

    /// What a device would write there.
    public func setDeviceEvent(_ offWrap: UInt16, flags: UInt16) {
        usedPart.memory.store32(UInt32(offWrap) | UInt32(flags) << 16, at: usedPart.start)
    }

    private static func event(_ part: RingPart) -> (offWrap: UInt16, flags: UInt16) {
        let word = part.memory.load32(at: part.start)
        return (UInt16(truncatingIfNeeded: word), UInt16(truncatingIfNeeded: word >> 16))
    }
}
