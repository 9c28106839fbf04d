import Host

extension NetDevice {
    /// Whether the driver wants the frame at `offset` of `packet`. Looks at it only where not all are
    /// wanted.
    @inlinable
    @inline(__always)
    public func receives(_ packet: borrowing IOVectors, at offset: Int) -> Bool {
        receivesAll || receives(packet.frameHead(at: offset))
    }

    /// Whether the driver wants the frame that begins with `head`.
    public func receives(_ head: FrameHead) -> Bool {
        let type = UInt16(truncatingIfNeeded: head.high >> 32).bigEndian
        let control = UInt16(truncatingIfNeeded: head.high >> 48).bigEndian
        return receives(
            MACAddress(rawValue: head.low),
            vlan: type == EtherType.vlan ? control & 0xfff : nil)
    }
}
