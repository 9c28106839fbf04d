import VirtioNet
import VirtioSpec

/// What becomes of a frame.
@frozen
public enum Verdict: Equatable, Sendable {
    case drop(DropReason)
    /// To one port, whose station it is for.
    case to(Int, TagChange)
    case flood(Flood)
}

/// Every port that gets a frame, in two groups; one of them may be empty.
@frozen
public struct Flood: Equatable, Sendable {
    /// Ports on which the frame leaves without a tag, and how it is made so.
    public let bare: PortSet
    public let bareChange: TagChange
    /// Ports on which it leaves with one.
    public let tagged: PortSet
    public let taggedChange: TagChange

    @inlinable
    public init(bare: PortSet, _ bareChange: TagChange, tagged: PortSet, _ taggedChange: TagChange)
    {
        self.bare = bare
        self.bareChange = bareChange
        self.tagged = tagged
        self.taggedChange = taggedChange
    }

    @inlinable
    public var ports: PortSet { bare.union(tagged) }
}

/// What is done to a frame's tag, at offset 12, on its way out.
@frozen
public enum TagChange: Hashable, Sendable {
    case none
    case remove
    /// A tag with this control word is put in.
    case insert(UInt16)
    /// The tag's control word becomes this one.
    case replace(UInt16)

    /// Bytes that the frame grows by.
    @inlinable
    public var growth: Int {
        switch self {
        case .none, .replace: 0
        case .remove: -EtherType.tagBytes
        case .insert: EtherType.tagBytes
        }
    }

    /// The packet's header after the change: what it says of places in the packet moves along.
    ///
    /// - Returns: nil where the checksum would begin among the addresses and the tag, or too far out
    ///   to be said. Then the packet is malformed.
    @inlinable
    public func moved(_ header: NetHeader) -> NetHeader? {
        guard growth != 0 else { return header }
        var moved = header
        if header.flags & NetHeaderFlag.needsChecksum != 0 {
            let least = NetLayout.ethernetBytes + (growth < 0 ? EtherType.tagBytes : 0)
            guard Int(header.checksumStart) >= least,
                let start = UInt16(exactly: Int(header.checksumStart) + growth)
            else { return nil }
            moved.checksumStart = start
        }
        // A hint; 0 where it says nothing.
        if header.headerLength != 0 {
            moved.headerLength = UInt16(clamping: Int(header.headerLength) + growth)
        }
        return moved
    }
}

/// Why a frame went no further.
@frozen
public enum DropReason: UInt8, CaseIterable, Sendable, CustomStringConvertible {
    /// It ends before its Ethernet header does.
    case runt
    /// The header before the packet contradicts it.
    case malformed
    /// It comes from an address that is no station's: a group's, or all zeroes.
    case badSource
    /// For the bridge itself, 01:80:c2:00:00:00 to 0f: such frames stay on their link (802.1Q §8.6.3).
    case linkLocal
    /// It has no tag, and the port takes no frame without one.
    case untagged
    /// Its VLAN, or its kind of tag, is not for the port it came from.
    case vlan
    /// A second tag would come to light where the first is taken off, and lead into another VLAN.
    case doubleTag
    /// Its station lies behind the port it came from.
    case ownPort
    /// The port it came from, or every other in its VLAN, has no guest.
    case noReceiver
    /// The receiver has no room, counted at the receiver.
    case receiverFull
    /// Longer than the receiver takes, counted at the receiver.
    case tooLong

    public var description: String {
        switch self {
        case .runt: "shorter than an Ethernet header"
        case .malformed: "malformed virtio-net header"
        case .badSource: "source address of no station"
        case .linkLocal: "for the bridge itself"
        case .untagged: "untagged on a port that takes tagged frames only"
        case .vlan: "VLAN not for this port"
        case .doubleTag: "a second tag under one to be taken off"
        case .ownPort: "destination behind the port it came from"
        case .noReceiver: "no receiver"
        case .receiverFull: "receiver full"
        case .tooLong: "too long for the receiver"
        }
    }
}

/// Frames of one port.
@frozen
public struct PortCounters: Sendable {
    /// Taken from the port, those dropped among them.
    public var received: UInt64 = 0
    /// Given to the port.
    public var sent: UInt64 = 0
    @usableFromInline var drops = InlineArray<11, UInt64>(repeating: 0)

    public init() {}

    @inlinable
    @inline(__always)
    public mutating func countDrop(_ reason: DropReason) { drops[Int(reason.rawValue)] &+= 1 }

    @inlinable
    public func dropped(_ reason: DropReason) -> UInt64 { drops[Int(reason.rawValue)] }

    public var dropped: UInt64 { DropReason.allCases.reduce(0) { $0 &+ dropped($1) } }
}

extension PortCounters: CustomStringConvertible {
    public var description: String {
        let drops = DropReason.allCases.filter { dropped($0) > 0 }
            .map { "; dropped \(dropped($0)): \($0)" }
        return "\(received) frames received, \(sent) sent" + drops.joined()
    }
}
