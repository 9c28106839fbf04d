/// The two ends of the link: the host's interface and the guest.
public enum Ends {
    public static let host: [UInt8] = [10, 9, 0, 1]
    public static let guest: [UInt8] = [10, 9, 0, 2]
    public static let guestMAC: [UInt8] = [2, 0, 0, 0, 0, 2]
    public static let everyone = [UInt8](repeating: 0xff, count: 6)
}

/// Packets as RFCs 826, 768, 791 and 792 have them, made and read by the tests alone.
public enum Frame {
    public static func ethernet(to: [UInt8], type: UInt16, _ payload: [UInt8]) -> [UInt8] {
        to + Ends.guestMAC + big(type) + payload
    }

    public static func whoHas(_ address: [UInt8]) -> [UInt8] {
        let operation: UInt16 = 1
        let body = big(1) + big(0x0800) + [6, 4] + big(operation) + Ends.guestMAC + Ends.guest
        let target = [UInt8](repeating: 0, count: 6) + address
        return ethernet(to: Ends.everyone, type: 0x0806, body + target)
    }

    public static func ipv4(to: [UInt8], protocol number: UInt8, _ payload: [UInt8]) -> [UInt8] {
        var header: [UInt8] = [0x45, 0] + big(UInt16(20 + payload.count)) + [0, 0, 0x40, 0]
        header += [64, number, 0, 0] + Ends.guest + Ends.host
        header.replaceSubrange(10..<12, with: big(~sum(header)))
        return ethernet(to: to, type: 0x0800, header + payload)
    }

    public static func ping(to: [UInt8], _ data: [UInt8]) -> [UInt8] {
        var body: [UInt8] = [8, 0, 0, 0] + big(1) + big(1) + data
        body.replaceSubrange(2..<4, with: big(~sum(body)))
        return ipv4(to: to, protocol: 1, body)
    }

    /// - Parameter checksum: nil for the right one.
    public static func datagram(
        to: [UInt8], from port: UInt16, port other: UInt16, _ data: [UInt8], checksum: UInt16? = nil
    ) -> [UInt8] {
        let length = UInt16(8 + data.count)
        var body = big(port) + big(other) + big(length) + [0, 0] + data
        let right = ~sum(pseudo(Ends.guest + Ends.host, length) + body)
        body.replaceSubrange(6..<8, with: big(checksum ?? right))
        return ipv4(to: to, protocol: 17, body)
    }

    /// What the checksum of a datagram holds that is not finished.
    public static func unfinished(_ dataBytes: Int) -> UInt16 {
        sum(pseudo(Ends.guest + Ends.host, UInt16(8 + dataBytes)))
    }

    /// Whether the checksum of the datagram in `frame` is right.
    public static func isRight(_ frame: [UInt8]) -> Bool {
        let body = Array(frame[34...])
        return sum(pseudo(Array(frame[26..<34]), UInt16(body.count)) + body) == 0xffff
    }

    private static func pseudo(_ addresses: [UInt8], _ length: UInt16) -> [UInt8] {
        addresses + [0, 17] + big(length)
    }

    private static func sum(_ bytes: [UInt8]) -> UInt16 {
        var sum = 0
        for (index, byte) in bytes.enumerated() { sum += Int(byte) << (index % 2 == 0 ? 8 : 0) }
        while sum > 0xffff { sum = (sum & 0xffff) + (sum >> 16) }
        return UInt16(sum)
    }

    public static func big(_ word: UInt16) -> [UInt8] { [UInt8(word >> 8), UInt8(word & 0xff)] }

    public static func isAnswer(_ frame: [UInt8]) -> Bool {
        frame.count >= 42 && Array(frame[12..<14]) == [8, 6] && frame[21] == 2
    }

    public static func isPong(_ frame: [UInt8]) -> Bool {
        frame.count >= 42 && Array(frame[12..<14]) == [8, 0] && frame[23] == 1 && frame[34] == 0
    }

    public static func isDatagram(_ frame: [UInt8]) -> Bool {
        frame.count >= 42 && Array(frame[12..<14]) == [8, 0] && frame[23] == 17
    }
}
