import VirtioSpec

/// The packet by which a station's new place is made known after a migration: a reverse ARP request
/// (RFC 903) to all. Nobody need answer it; switches learn from it. QEMU and DPDK send the same.
public enum ReverseARP {
    /// Bytes of the shortest frame that Ethernet has, without its checksum.
    private static let shortest = 60

    /// The whole frame, in the name of the station at `address`.
    public static func request(for address: MACAddress) -> [UInt8] {
        let station = address.bytes
        let broadcast = [UInt8](repeating: 0xff, count: station.count)
        let noIPv4 = [UInt8](repeating: 0, count: 4)
        // Addresses of Ethernet for those of IPv4, 6 bytes and 4; the operation 3 asks in reverse.
        let kind: [UInt8] = [0, 1, 0x08, 0x00, 6, 4, 0, 3]
        let frame = broadcast + station + [0x80, 0x35] + kind + station + noIPv4 + station + noIPv4
        return frame + [UInt8](repeating: 0, count: shortest - frame.count)
    }
}
