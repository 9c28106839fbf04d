import Host
import VirtioNet

/// Decides where each frame goes: a learning bridge with VLANs (802.1Q §8), without its ports. It
/// touches no frame and knows no guest; one thread owns it.
@frozen
public struct SwitchTable: ~Copyable {
    @usableFromInline
    @frozen
    struct VLANRow {
        /// Ports that carry the VLAN, and those on which it has a tag.
        @usableFromInline var members = PortSet()
        @usableFromInline var tagged = PortSet()
        @usableFromInline
        init() {}
    }

    @usableFromInline
    @frozen
    struct PortRow {
        @usableFromInline var counters = PortCounters()
        /// Where frames without a tag are; past every VLAN where they are refused.
        @usableFromInline let bare: Int
        @usableFromInline let takesTags: Bool
        @usableFromInline
        init(bare: Int, takesTags: Bool) {
            self.bare = bare
            self.takesTags = takesTags
        }
    }

    @usableFromInline var addresses: AddressTable
    @usableFromInline var vlans: Table<VLANRow>
    @usableFromInline var ports: Table<PortRow>
    @usableFromInline var attached = PortSet()
    @usableFromInline var lastSecond: UInt32 = 0
    public let portCount: Int

    /// No port is attached yet.
    ///
    /// - Parameters:
    ///   - ports: what each carries; 64 at most.
    ///   - capacity: stations known at most; rounded up to four times a power of two.
    ///   - ageSeconds: after which a silent station is forgotten, 1 to 32768.
    ///   - secret: see `AddressTable`.
    public init(
        ports: [PortVLANs], capacity: Int = 16_384, ageSeconds: UInt32 = 300,
        secret: (UInt64, UInt64)? = nil
    ) {
        precondition((1...PortSet.capacity).contains(ports.count))
        portCount = ports.count
        addresses = AddressTable(capacity: capacity, ageSeconds: ageSeconds, secret: secret)
        self.ports = Table(count: ports.count) { port in
            PortRow(
                bare: ports[port].bare.map(Int.init) ?? Self.noVLAN,
                takesTags: ports[port].takesTags)
        }
        vlans = Table(count: Self.noVLAN) { _ in VLANRow() }
        for (port, carried) in ports.enumerated() {
            for number in PortVLANs.numbers where carried.tagged.contains(number) {
                vlans[Int(number)].members.insert(port)
                vlans[Int(number)].tagged.insert(port)
            }
            guard let bare = carried.bare else { continue }
            vlans[Int(bare)].members.insert(port)
            vlans[Int(bare)].tagged.remove(port)
        }
    }

    @inlinable static var noVLAN: Int { 4096 }

    // Guests.

    /// The port's guest is there: it may send and receive.
    public mutating func attach(_ port: Int) {
        precondition(port < portCount)
        attached.insert(port)
    }

    /// The port's guest has gone, and its stations with it. Takes time in proportion to the capacity.
    public mutating func detach(_ port: Int) {
        precondition(port < portCount)
        attached.remove(port)
        addresses.forget(port: port)
    }

    public var attachedPorts: PortSet { attached }

    // Frames.

    /// Where a frame goes that came in at `port`, and learns where its sender is.
    ///
    /// - Parameter now: seconds of a clock that runs on.
    @inlinable
    public mutating func forward(_ frame: FrameKey, from port: Int, now: UInt32) -> Verdict {
        ports[port].counters.received &+= 1
        guard attached.contains(port) else { return drop(.noReceiver, port) }
        guard !frame.source.isMulticast, frame.source.rawValue != 0 else {
            return drop(.badSource, port)
        }
        let vlan: Int
        switch frame.tag {
        case .vlan(let control, _) where control & EtherType.vlanMask != 0:
            guard ports[port].takesTags else { return drop(.vlan, port) }
            vlan = Int(control & EtherType.vlanMask)
        case .foreign:
            // Among frames without a tag, and only where tags pass as they are: a port that tells VLANs
            // apart is not in this one. Farther on the tag would mean another thing.
            vlan = 0
        default:
            vlan = ports[port].bare
            guard vlan != Self.noVLAN else { return drop(.untagged, port) }
        }
        guard vlans[vlan].members.contains(port) else { return drop(.vlan, port) }
        guard !Self.staysOnLink(frame.destination) else { return drop(.linkLocal, port) }
        if now != lastSecond { passSecond(now) }
        addresses.learn(
            AddressTable.key(frame.source.rawValue, vlan: vlan), port: port, now: now)
        if !frame.destination.isMulticast,
            let out = addresses.find(
                AddressTable.key(frame.destination.rawValue, vlan: vlan), now: now)
        {
            return send(frame.tag, vlan, from: port, to: out)
        }
        return flood(frame.tag, vlan, from: port)
    }

    /// 01:80:c2:00:00:0x.
    @inlinable
    @inline(__always)
    static func staysOnLink(_ destination: MACAddress) -> Bool {
        destination.rawValue & 0xf0ff_ffff_ffff == 0xc2_8001
    }

    @inlinable
    @inline(__always)
    mutating func send(_ tag: FrameTag, _ vlan: Int, from port: Int, to out: Int) -> Verdict {
        guard out != port else { return drop(.ownPort, port) }
        let isTagged = vlans[vlan].tagged.contains(out)
        guard isTagged || !Self.hidesTag(tag, vlan) else { return drop(.doubleTag, port) }
        return .to(out, Self.change(tag, vlan, isTagged: isTagged))
    }

    @inlinable
    @inline(__always)
    mutating func flood(_ tag: FrameTag, _ vlan: Int, from port: Int) -> Verdict {
        var others = vlans[vlan].members.intersection(attached)
        others.remove(port)
        guard !others.isEmpty else { return drop(.noReceiver, port) }
        let tagged = others.intersection(vlans[vlan].tagged)
        var bare = others.subtracting(tagged)
        if Self.hidesTag(tag, vlan) {
            guard !tagged.isEmpty else { return drop(.doubleTag, port) }
            bare = PortSet()
        }
        return .flood(
            Flood(
                bare: bare, Self.change(tag, vlan, isTagged: false),
                tagged: tagged, Self.change(tag, vlan, isTagged: true)))
    }

    /// Whether taking the tag off would show another, for the next bridge to follow: a guest could send
    /// into a VLAN that its port does not carry.
    @inlinable
    @inline(__always)
    static func hidesTag(_ tag: FrameTag, _ vlan: Int) -> Bool {
        if case .vlan(_, isOverAnother: true) = tag { vlan != 0 } else { false }
    }

    @inlinable
    @inline(__always)
    static func change(_ tag: FrameTag, _ vlan: Int, isTagged: Bool) -> TagChange {
        // What has no VLAN stays as it is, a tag with nothing but a priority too.
        guard vlan != 0 else { return .none }
        let number = UInt16(truncatingIfNeeded: vlan)
        switch (tag, isTagged) {
        case (.vlan(let control, _), true):
            return control & EtherType.vlanMask == 0 ? .replace(control | number) : .none
        case (.vlan, false): return .remove
        case (_, true): return .insert(number)
        case (_, false): return .none
        }
    }

    @usableFromInline
    @inline(never)
    mutating func passSecond(_ now: UInt32) {
        lastSecond = now
        addresses.sweep(now)
    }

    @inlinable
    @inline(__always)
    mutating func drop(_ reason: DropReason, _ port: Int) -> Verdict {
        ports[port].counters.countDrop(reason)
        return .drop(reason)
    }

    // Counts.

    /// A frame of which no key could be made, or whose header is malformed: taken from `port`, and no
    /// further.
    @inlinable
    public mutating func refuse(_ reason: DropReason, from port: Int) {
        ports[port].counters.received &+= 1
        ports[port].counters.countDrop(reason)
    }

    /// A frame was given to `port`.
    @inlinable
    public mutating func countSent(to port: Int) { ports[port].counters.sent &+= 1 }

    /// A frame for `port` was not given to it.
    @inlinable
    public mutating func countDrop(_ reason: DropReason, at port: Int) {
        ports[port].counters.countDrop(reason)
    }

    public func counters(_ port: Int) -> PortCounters { ports[port].counters }

    /// What is known of a port's stations.
    public func stations(_ port: Int) -> AddressBook {
        precondition(port < portCount)
        return addresses.book(port)
    }

    public var capacity: Int { addresses.capacity }

    /// What there is to say of a port, once while its guest is there; nil where there is nothing.
    public mutating func takeNotice() -> SwitchNotice? {
        for port in 0..<portCount {
            if let notice = addresses.takeNotice(port) { return notice }
        }
        return nil
    }
}
