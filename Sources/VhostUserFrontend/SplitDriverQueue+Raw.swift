import Host
import VirtioSpec

/// The ring's words themselves, for whoever wants to see them or to write nonsense into them.
extension SplitDriverQueue {
    public func setDescriptor(_ index: UInt16, _ descriptor: Descriptor) {
        writeDescriptor(
            descriptor,
            at: descriptors + UInt64(index) * UInt64(SplitRingLayout.descriptorBytes))
    }

    /// Puts `head` into the available ring at free-running `index`.
    @inline(__always)
    public func setAvailable(_ index: UInt16, head: UInt16) {
        store(availablePart, SplitRingLayout.availableRing + Int(index & (size - 1)) * 2, head)
    }

    public func setAvailableIndex(_ index: UInt16) {
        store(availablePart, SplitRingLayout.availableIndex, index, releasing: true)
    }

    public func availableIndex() -> UInt16 {
        load(availablePart, SplitRingLayout.availableIndex)
    }

    @inline(__always)
    public func usedIndex() -> UInt16 {
        load(usedPart, SplitRingLayout.usedIndex, acquiring: true)
    }

    /// With a release, as a device shows what it has finished.
    public func setUsedIndex(_ index: UInt16) {
        store(usedPart, SplitRingLayout.usedIndex, index, releasing: true)
    }

    /// The used ring's entry at free-running `index`.
    @inline(__always)
    public func usedEntry(_ index: UInt16) -> (id: UInt32, written: UInt32) {
        let offset = usedEntryOffset(index)
        return (usedPart.memory.load32(at: offset), usedPart.memory.load32(at: offset + 4))
    }

    /// What a device would write there.
    public func setUsedEntry(_ index: UInt16, id: UInt32, written: UInt32) {
        let offset = usedEntryOffset(index)
        usedPart.memory.store32(id, at: offset)
        usedPart.memory.store32(written, at: offset + 4)
    }

    private func usedEntryOffset(_ index: UInt16) -> Int {
        let slot = Int(index & (size - 1))
        return usedPart.start + SplitRingLayout.usedRing + slot * SplitRingLayout.usedEntryBytes
    }

    /// The device's flags: whether it wants no kicks.
    public func usedFlags() -> UInt16 { load(usedPart, SplitRingLayout.usedFlags) }

    public func availableEvent() -> UInt16 { load(usedPart, availableEventOffset) }

    /// What a device would write there.
    public func setAvailableEvent(_ index: UInt16) {
        store(usedPart, availableEventOffset, index)
    }

    private var availableEventOffset: Int {
        SplitRingLayout.usedRing + Int(size) * SplitRingLayout.usedEntryBytes
    }

    public func setUsedEvent(_ index: UInt16) {
        store(availablePart, SplitRingLayout.availableRing + Int(size) * 2, index)
    }

    /// Without event indices: whether the driver wants no calls.
    public func setInterruptsSuppressed(_ isSuppressed: Bool) {
        let flags = isSuppressed ? SplitRingLayout.noInterrupt : 0
        store(availablePart, SplitRingLayout.availableFlags, flags)
    }

    private func load(_ part: RingPart, _ offset: Int, acquiring: Bool = false) -> UInt16 {
        part.memory.load16(at: part.start + offset, acquiring: acquiring)
    }

    private func store(
        _ part: RingPart, _ offset: Int, _ value: UInt16, releasing: Bool = false
    ) {
        part.memory.store16(value, at: part.start + offset, releasing: releasing)
    }
}

extension DriverQueue {
    /// Writes a split ring's descriptor, or an entry of a table, at any guest address.
    public func writeDescriptor(_ descriptor: Descriptor, at address: UInt64) {
        let bytes =
            Bytes.of(descriptor.address) + Bytes.of(descriptor.length)
            + Bytes.of(descriptor.flags) + Bytes.of(descriptor.next)
        ram.write(bytes, at: address)
    }
}
