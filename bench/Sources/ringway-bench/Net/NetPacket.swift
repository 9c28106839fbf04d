import VhostUserFrontend
import VirtioSpec

/// Packets as the load sends them: UDP in IPv4, or TCP to be cut into segments.
struct NetPacket {
    let header: PacketHeader
    let bytes: [UInt8]

    private static let ipStart = NetLayout.ethernetBytes
    private static let ipBytes = 20
    private static let transportStart = ipStart + ipBytes
    private static let tcpBytes = 20
    private static let tcpChecksumOffset: UInt16 = 16
    /// Bytes of a segment: what fits 1500 behind both headers.
    private static let segmentBytes: UInt16 = 1460

    /// Headers, marks, and no less than Ethernet wants.
    static let leastBytes = 64
    /// Where the load's own marks begin: behind all headers, at a whole word.
    static let markStart = 56

    /// - Parameter flow: told by the ports.
    init(_ plan: NetPlan, flow: Int) {
        let count = plan.frameBytes
        var bytes = plan.destination.bytes + plan.source.bytes + [0x08, 0x00]
        let length = UInt16(clamping: count - Self.ipStart)
        let protocolNumber: UInt8 = plan.isSegmented ? 6 : 17
        var ip: [UInt8] = [0x45, 0] + Self.big(length) + [0, 0, 0x40, 0, 64, protocolNumber, 0, 0]
        // Of the network that is set aside for benchmarks (RFC 2544).
        let source: [UInt8] = [198, 18, 0, 1]
        let destination: [UInt8] = [198, 19, 0, 1]
        ip += source + destination
        ip.replaceSubrange(10..<12, with: Self.big(~Self.sum(ip)))
        bytes += ip
        let ports = Self.big(UInt16(1024 + flow % 32_768)) + Self.big(9)
        let transportLength = length - UInt16(Self.ipBytes)
        var header = PacketHeader()
        if plan.isSegmented {
            // The checksum holds the pseudo header's sum until whoever cuts the packet finishes it.
            let pseudo = source + destination + [0, protocolNumber] + Self.big(transportLength)
            bytes += ports + [0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff]
            bytes += Self.big(Self.sum(pseudo)) + [0, 0]
            header.flags = NetHeaderFlag.needsChecksum
            header.segmentation = NetSegmentation.tcp4
            header.headerLength = UInt16(Self.transportStart + Self.tcpBytes)
            header.segmentBytes = Self.segmentBytes
            header.checksumStart = UInt16(Self.transportStart)
            header.checksumOffset = Self.tcpChecksumOffset
        } else {
            bytes += ports + Self.big(transportLength) + [0, 0]
        }
        bytes += (0..<max(0, count - bytes.count)).map { UInt8(truncatingIfNeeded: $0) }
        self.bytes = Array(bytes.prefix(count))
        self.header = header
    }

    private static func big(_ value: UInt16) -> [UInt8] {
        [UInt8(value >> 8), UInt8(truncatingIfNeeded: value)]
    }

    /// The Internet's sum, not yet inverted. An even number of bytes.
    static func sum(_ bytes: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for place in stride(from: 0, to: bytes.count, by: 2) {
            sum += UInt32(bytes[place]) << 8 | UInt32(bytes[place + 1])
        }
        while sum > 0xffff { sum = (sum & 0xffff) + (sum >> 16) }
        return UInt16(sum)
    }
}
