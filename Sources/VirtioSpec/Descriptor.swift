/// One entry of a descriptor table, as private values (virtio 1.3 §2.7.5).
@frozen
public struct Descriptor: Equatable, Sendable {
    public let address: UInt64
    public let length: UInt32
    public let flags: UInt16
    public let next: UInt16

    public init(address: UInt64, length: UInt32, flags: UInt16 = 0, next: UInt16 = 0) {
        self.address = address
        self.length = length
        self.flags = flags
        self.next = next
    }

    /// From the entry's two little-endian words, each read once.
    @inlinable
    @inline(__always)
    public init(words first: UInt64, _ second: UInt64) {
        address = first
        length = UInt32(truncatingIfNeeded: second)
        flags = UInt16(truncatingIfNeeded: second >> 32)
        next = UInt16(truncatingIfNeeded: second >> 48)
    }

    @inlinable public var hasNext: Bool { flags & DescriptorFlags.next != 0 }
    @inlinable public var isWritable: Bool { flags & DescriptorFlags.write != 0 }
    @inlinable public var isIndirect: Bool { flags & DescriptorFlags.indirect != 0 }
}
