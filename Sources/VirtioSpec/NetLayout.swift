/// virtio-net on the wire (virtio 1.3 §5.1).
public enum NetLayout {
    /// flags u8, gso_type u8, hdr_len u16, gso_size u16, csum_start u16, csum_offset u16, and
    /// num_buffers u16: before every packet, either way (§5.1.6).
    public static let headerBytes = 12
    /// The header of a driver that knows neither VERSION_1 nor mergeable buffers: no num_buffers.
    public static let legacyHeaderBytes = 10
    /// Bytes of a packet at most, without its header: what one of 64 KiB after segmentation may have.
    public static let largestPacket = 65_550
    /// Bytes of an Ethernet header without a VLAN tag.
    public static let ethernetBytes = 14
    /// The queues of pair n are 2n, into the guest, and 2n + 1, out of it; the control queue follows
    /// the last pair (§5.1.2).
    public static let queuesPerPair = 2
    /// The least MTU that a device may name (§5.1.4.1).
    public static let leastMTU: UInt16 = 68
}

/// `flags` of a packet's header.
public enum NetHeaderFlag {
    /// The checksum from csum_start on is to be put at csum_start + csum_offset.
    public static let needsChecksum: UInt8 = 1
    /// The checksum has been found right.
    public static let dataIsValid: UInt8 = 2
}

/// `gso_type` of a packet's header.
public enum NetSegmentation {
    public static let none: UInt8 = 0
    public static let tcp4: UInt8 = 1
    public static let udp: UInt8 = 3
    public static let tcp6: UInt8 = 4
    public static let udpDatagrams: UInt8 = 5
    /// Set beside one of the above: the packet carries ECN.
    public static let ecn: UInt8 = 0x80
}

/// Offsets in the network device's configuration space (§5.1.4).
public enum NetConfigOffset {
    public static let mac = 0
    public static let status = 6
    public static let pairCount = 8
    public static let mtu = 10
    public static let speed = 12
    public static let duplex = 16
    /// Bytes of the fields above.
    public static let end = 17
}

/// `status` in the configuration space.
public enum NetStatus {
    public static let linkUp: UInt16 = 1
    public static let announce: UInt16 = 2
}

/// A control command: class u8, command u8, the command's data; the device answers in one byte
/// (§5.1.6.5).
public enum NetControlClass {
    public static let receiveMode: UInt8 = 0
    public static let mac: UInt8 = 1
    public static let vlan: UInt8 = 2
    public static let announce: UInt8 = 3
    public static let multiqueue: UInt8 = 4
    public static let guestOffloads: UInt8 = 5
}

public enum NetControlAnswer: UInt8, Sendable {
    case ok = 0
    case error = 1
}

extension Features {
    public static let netChecksum = bit(0)
    public static let netGuestChecksum = bit(1)
    public static let netControlGuestOffloads = bit(2)
    public static let netMTU = bit(3)
    public static let netMAC = bit(5)
    public static let netGuestTSO4 = bit(7)
    public static let netGuestTSO6 = bit(8)
    public static let netGuestECN = bit(9)
    public static let netGuestUFO = bit(10)
    public static let netHostTSO4 = bit(11)
    public static let netHostTSO6 = bit(12)
    public static let netHostECN = bit(13)
    public static let netHostUFO = bit(14)
    public static let netMergeableBuffers = bit(15)
    public static let netStatus = bit(16)
    public static let netControlQueue = bit(17)
    public static let netControlReceiveMode = bit(18)
    public static let netControlVLAN = bit(19)
    public static let netControlReceiveModeExtra = bit(20)
    public static let netGuestAnnounce = bit(21)
    public static let netMultiqueue = bit(22)
    public static let netControlMAC = bit(23)
    public static let netGuestUSO4 = bit(54)
    public static let netGuestUSO6 = bit(55)
    public static let netHostUSO = bit(56)
    public static let netSpeedDuplex = bit(63)
}
