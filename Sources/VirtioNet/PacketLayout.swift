// Offsets in the headers that a packet has to have before it can be cut; all words big-endian.

enum EtherType {
    static let ipv4: UInt16 = 0x0800
    static let ipv6: UInt16 = 0x86dd
    /// Before the tag of a VLAN.
    static let vlan: UInt16 = 0x8100
    /// Before the tag of a VLAN that holds VLANs.
    static let serviceVLAN: UInt16 = 0x88a8
    /// Where the first of them stands.
    static let offset = 12
    static let tagBytes = 4
}

/// RFC 791.
enum IPv4Layout {
    static let leastBytes = 20
    static let totalLength = 2
    static let identification = 4
    /// More fragments follow, or this is not the first.
    static let fragment = 6
    static let fragmentMask: UInt16 = 0x3fff
    static let `protocol` = 9
    static let checksum = 10
}

/// RFC 8200.
enum IPv6Layout {
    static let bytes = 40
    static let payloadLength = 4
    static let nextHeader = 6
    /// Extension headers have a length in units of 8 bytes, the first not counted.
    static let extensionUnit = 8
}

enum IPProtocol {
    static let hopByHop: UInt8 = 0
    static let tcp: UInt8 = 6
    static let udp: UInt8 = 17
    static let routing: UInt8 = 43
    static let destinationOptions: UInt8 = 60
}

/// TCP (RFC 9293) and UDP (RFC 768).
enum TransportLayout {
    static let tcpBytes = 20
    static let tcpSequence = 4
    /// The header's words of 4 bytes, in the high half of a byte.
    static let tcpDataOffset = 12
    static let tcpFlags = 13
    static let tcpChecksum = 16
    static let tcpUrgent = 18
    static let udpBytes = 8
    static let udpLength = 4
    static let udpChecksum = 6
}

enum TCPFlag {
    static let fin: UInt8 = 0x01
    static let syn: UInt8 = 0x02
    static let rst: UInt8 = 0x04
    static let psh: UInt8 = 0x08
    static let urg: UInt8 = 0x20
    static let cwr: UInt8 = 0x80
}
