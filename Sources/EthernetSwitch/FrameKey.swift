import VirtioNet
import VirtioSpec

/// What a switch reads of a frame: two addresses and a tag (IEEE 802.3 §3.1, 802.1Q §9).
@frozen
public struct FrameKey: Hashable, Sendable {
    public let destination: MACAddress
    public let source: MACAddress
    public let tag: FrameTag

    @inlinable
    public init(destination: MACAddress, source: MACAddress, tag: FrameTag = .none) {
        self.destination = destination
        self.source = source
        self.tag = tag
    }

    /// The frame's first 18 bytes as they lie on the wire. Bytes past the frame's end count for
    /// nothing, whatever they hold.
    ///
    /// - Parameters:
    ///   - low: bytes 0 to 7, little-endian.
    ///   - high: bytes 8 to 15.
    ///   - last: bytes 16 and 17.
    ///   - count: bytes of the frame.
    /// - Returns: nil where the frame ends before its header does.
    @inlinable
    @inline(__always)
    public init?(_ low: UInt64, _ high: UInt64, _ last: UInt16, count: Int) {
        guard count >= NetLayout.ethernetBytes else { return nil }
        let type = UInt16(truncatingIfNeeded: high >> 32).byteSwapped
        if type == EtherType.vlan {
            guard count >= NetLayout.ethernetBytes + EtherType.tagBytes else { return nil }
            tag = .vlan(
                control: UInt16(truncatingIfNeeded: high >> 48).byteSwapped,
                isOverAnother: EtherType.isTag(last.byteSwapped))
        } else {
            tag = EtherType.isTag(type) ? .foreign : .none
        }
        destination = MACAddress(rawValue: low)
        source = MACAddress(rawValue: low >> 48 | high << 16)
    }
}

/// How a frame is tagged as it comes in.
@frozen
public enum FrameTag: Hashable, Sendable {
    case none
    /// An 802.1Q tag: three bits of priority, one of eligibility to be dropped, and the VLAN's
    /// number, which is 0 where the tag says a priority only.
    case vlan(control: UInt16, isOverAnother: Bool)
    /// A tag of another kind, a provider's: not ours to read.
    case foreign
}

/// The word after a frame's addresses.
public enum EtherType {
    public static let vlan: UInt16 = 0x8100
    /// 802.1ad, and what was used before it.
    public static let providerTag: UInt16 = 0x88a8
    public static let oldProviderTag: UInt16 = 0x9100

    /// Bytes that a tag adds to a frame, at offset 12.
    public static let tagBytes = 4
    /// The bits of a tag's control word that number the VLAN.
    public static let vlanMask: UInt16 = 0xfff

    @inlinable
    @inline(__always)
    public static func isTag(_ type: UInt16) -> Bool {
        type == vlan || type == providerTag || type == oldProviderTag
    }
}
