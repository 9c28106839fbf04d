import Host
import VirtioSpec

/// The ring's words themselves, for whoever wants to see them or to write nonsense into them.
extension DriverQueue {
    public func setDescriptor(_ index: UInt16, _ descriptor: Descriptor) {
        writeDescriptor(
            descriptor,
            at: descriptors + UInt64(index) * UInt64(SplitRingLayout.descriptorBytes))
    }

    /// Writes a descriptor at any guest address.
    public func writeDescriptor(_ descriptor: Descriptor, at address: UInt64) {
        let bytes =
            Bytes.of(descriptor.address) + Bytes.of(descriptor.length)
            + Bytes.of(descriptor.flags) + Bytes.of(descriptor.next)
        ram.write(bytes, at: address)
    }

    /// Puts `head` into the available ring at free-running `index`.
    public func setAvailable(_ index: UInt16, head: UInt16) {
        store(available, SplitRingLayout.availableRing + Int(index & (size - 1)) * 2, head)
    }

    public func setAvailableIndex(_ index: UInt16) {
        store(available, SplitRingLayout.availableIndex, index, releasing: true)
    }

    public func availableIndex() -> UInt16 { load(available, SplitRingLayout.availableIndex) }

    public func usedIndex() -> UInt16 {
        load(used, SplitRingLayout.usedIndex, acquiring: true)
    }

    public func setUsedIndex(_ index: UInt16) { store(used, SplitRingLayout.usedIndex, index) }

    /// The used ring's entry at free-running `index`.
    public func usedEntry(_ index: UInt16) -> (id: UInt32, written: UInt32) {
        let slot = Int(index & (size - 1))
        let offset = SplitRingLayout.usedRing + slot * SplitRingLayout.usedEntryBytes
        let (mapping, start, _) = ram.place(used)
        return (mapping.load32(at: start + offset), mapping.load32(at: start + offset + 4))
    }

    /// The device's flags: whether it wants no kicks.
    public func usedFlags() -> UInt16 { load(used, SplitRingLayout.usedFlags) }

    public func availableEvent() -> UInt16 {
        let entries = Int(size) * SplitRingLayout.usedEntryBytes
        return load(used, SplitRingLayout.usedRing + entries)
    }

    public func setUsedEvent(_ index: UInt16) {
        store(available, SplitRingLayout.availableRing + Int(size) * 2, index)
    }

    /// Without event indices: whether the driver wants no calls.
    public func setInterruptsSuppressed(_ isSuppressed: Bool) {
        let flags = isSuppressed ? SplitRingLayout.noInterrupt : 0
        store(available, SplitRingLayout.availableFlags, flags)
    }

    func load(_ part: UInt64, _ offset: Int, acquiring: Bool = false) -> UInt16 {
        let (mapping, start, _) = ram.place(part)
        return mapping.load16(at: start + offset, acquiring: acquiring)
    }

    func store(_ part: UInt64, _ offset: Int, _ value: UInt16, releasing: Bool = false) {
        let (mapping, start, _) = ram.place(part)
        mapping.store16(value, at: start + offset, releasing: releasing)
    }
}
