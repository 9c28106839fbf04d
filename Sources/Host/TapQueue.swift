import CLinux

/// What a TAP's descriptor says of itself. (Not whether the TUN driver's own words stand before a
/// packet: Linux 6.18 says they do not where they do.)
public struct TapFacts: Equatable, Sendable {
    public let name: String
    /// An Ethernet device, not a TUN's bare IP.
    public let isTap: Bool
    /// A virtio-net header stands before every packet.
    public let hasHeaders: Bool
    public let isMultiqueue: Bool
}

/// What a TAP may hand us unfinished (TUNSETOFFLOAD).
public struct TapOffloads: OptionSet, Hashable, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let checksum = TapOffloads(rawValue: UInt32(TUN_F_CSUM))
    public static let tcp4 = TapOffloads(rawValue: UInt32(TUN_F_TSO4))
    public static let tcp6 = TapOffloads(rawValue: UInt32(TUN_F_TSO6))
    public static let ecn = TapOffloads(rawValue: UInt32(TUN_F_TSO_ECN))
    /// Both IP versions; Linux 6.2 and later.
    public static let udpDatagrams = TapOffloads(rawValue: UInt32(TUN_F_USO4 | TUN_F_USO6))
}

/// One queue of a TAP device: a descriptor from which every read is a packet that the host sent, and
/// to which every write is one that it receives. Neither ever waits.
public struct TapQueue: ~Copyable, Sendable {
    public let descriptor: OwnedFD

    /// Joins the device `name`, or makes it where there is none and we may; "tap%d" is given a
    /// number. Packets carry virtio-net headers.
    public init(name: String, isMultiqueue: Bool) throws(SystemError) {
        let file = try File.open("/dev/net/tun", .writable)
        guard var bytes = InterfaceName(name)?.bytes else {
            throw SystemError("TUNSETIFF", ENAMETOOLONG)
        }
        var flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
        if isMultiqueue { flags |= IFF_MULTI_QUEUE }
        let result = unsafe clinux_tap_join(file.raw, &bytes, Int16(flags))
        guard result == 0 else { throw SystemError("TUNSETIFF", -result) }
        descriptor = file
    }

    /// Takes over a descriptor that somebody else opened.
    public init(adopting descriptor: consuming OwnedFD) {
        _ = clinux_set_nonblocking(descriptor.raw)
        _ = clinux_set_cloexec(descriptor.raw)
        self.descriptor = descriptor
    }

    /// Fails with EBADFD once the device is gone, with ENOTTY on what never was a TAP's.
    public borrowing func facts() throws(SystemError) -> TapFacts {
        var bytes = InterfaceName.empty
        var flags: Int16 = 0
        let result = unsafe clinux_tap_device(descriptor.raw, &bytes, &flags)
        guard result == 0 else { throw SystemError("TUNGETIFF", -result) }
        let set = Int32(UInt16(bitPattern: flags))
        return TapFacts(
            name: InterfaceName.text(bytes), isTap: set & IFF_TAP != 0,
            hasHeaders: set & IFF_VNET_HDR != 0,
            isMultiqueue: set & IFF_MULTI_QUEUE != 0)
    }

    /// Sets the bytes of the header, for all of the device's queues.
    public borrowing func setHeader(bytes: Int) throws(SystemError) {
        let result = clinux_tap_set_header(descriptor.raw, Int32(bytes))
        guard result == 0 else { throw SystemError("TUNSETVNETHDRSZ", -result) }
    }

    /// Sets what the whole device may hand over unfinished. Fails with EINVAL where the kernel does
    /// not know some of it.
    public borrowing func setOffloads(_ offloads: TapOffloads) throws(SystemError) {
        let result = clinux_tap_set_offload(descriptor.raw, offloads.rawValue)
        guard result == 0 else { throw SystemError("TUNSETOFFLOAD", -result) }
    }

    /// Whether the device gives this queue packets. Fails with EINVAL where that is so already, or
    /// where it has one queue only.
    public borrowing func setAttached(_ isAttached: Bool) throws(SystemError) {
        let flag = Int16(isAttached ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE)
        let result = clinux_tap_set_queue(descriptor.raw, flag)
        guard result == 0 else { throw SystemError("TUNSETQUEUE", -result) }
    }

    /// Makes our descriptor, under its own number, one of what `other` is.
    public borrowing func become(_ other: borrowing TapQueue) throws(SystemError) {
        let result = clinux_replace(other.descriptor.raw, descriptor.raw)
        guard result == 0 else { throw SystemError("dup3", -result) }
    }

    /// Gives the host a packet, its header first. Returns bytes, or errno negated.
    public borrowing func send(_ buffers: borrowing IOVectors) -> Int {
        Packet.write(descriptor.raw, buffers)
    }

    /// Takes a packet from the host, its header first. Returns bytes, or errno negated: EAGAIN where
    /// there is none, EMSGSIZE for one that did not fit and is lost.
    public borrowing func receive(into buffers: borrowing IOVectors) -> Int {
        Packet.read(descriptor.raw, into: buffers)
    }
}
