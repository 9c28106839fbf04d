/// An Ethernet address.
@frozen
public struct MACAddress: Hashable, Sendable, CustomStringConvertible {
    /// Its 48 bits, the first byte on the wire lowest.
    public let rawValue: UInt64

    /// Takes the low 48 bits of `rawValue`: what a packet's first eight bytes hold, read as a
    /// little-endian word, will do.
    @inlinable
    @inline(__always)
    public init(rawValue: UInt64) { self.rawValue = rawValue & 0xffff_ffff_ffff }

    /// The address that `bytes` hold from `offset` on. The caller has made sure that there are 6.
    init(_ bytes: ArraySlice<UInt8>) {
        self.init(
            rawValue: bytes.prefix(6).reversed().reduce(0) { value, byte in
                value << 8 | UInt64(byte)
            })
    }

    /// Nil where the text is not six bytes, each in two hexadecimal digits, with colons between:
    /// 52:54:00:12:34:56.
    public init?(_ text: String) {
        let parts = text.utf8.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard parts.count == 6 else { return nil }
        var value: UInt64 = 0
        for (index, part) in parts.enumerated() {
            // A sign would pass as a number's.
            guard part.count == 2, part.first != UInt8(ascii: "+"), part.first != UInt8(ascii: "-"),
                let byte = UInt8(Substring(part), radix: 16)
            else { return nil }
            value |= UInt64(byte) << (8 * UInt64(index))
        }
        rawValue = value
    }

    @inlinable public var isMulticast: Bool { rawValue & 1 != 0 }
    @inlinable public var isBroadcast: Bool { rawValue == 0xffff_ffff_ffff }

    /// Its bytes as they go over the wire.
    public var bytes: [UInt8] {
        (0..<6).map { UInt8(truncatingIfNeeded: rawValue >> (8 * UInt64($0))) }
    }

    /// An address of one station, administered locally, so that it is nobody's by right.
    public static func random() -> MACAddress {
        MACAddress(rawValue: UInt64.random(in: 0...UInt64.max) & ~1 | 2)
    }

    public var description: String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }
}
