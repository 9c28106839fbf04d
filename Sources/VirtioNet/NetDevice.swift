import Host
import Synchronization
import VirtioDevice
import VirtioSpec

/// The virtio network device as its driver sees it (virtio 1.3 §5.1): features, configuration space,
/// control commands, and which packets the driver wants. It does no I/O.
///
/// Workers read it for each packet, while the session's thread and the control queue's worker change
/// it; so all of its state is in atomics, and who changes more than one takes a turn.
public final class NetDevice: VirtioDevice {
    public let options: NetOptions
    private let turn = Turn()

    // What was said.
    private let accepted = Atomic<UInt64>(0)
    /// `status` in the configuration space.
    private let status = Atomic<UInt16>(NetStatus.linkUp)
    /// 0 where there is none.
    private let currentMTU: Atomic<UInt16>
    /// What the driver lets be handed to it, of what it accepted: the command GUEST_OFFLOADS.
    private let allowed = Atomic<UInt64>(NetDevice.everyOffload)
    /// What the command for pairs has said; 0 before it.
    private let pairsWanted = Atomic<Int>(0)
    /// The address that is to be announced for the driver; 0 for none.
    let unannounced = Atomic<UInt64>(0)
    private let isControlRunning = Atomic<Bool>(false)
    @usableFromInline let filter: ReceiveFilter

    // What follows from it, in the form that costs least to read.
    @usableFromInline let headerBytesNow = Atomic<Int>(NetLayout.legacyHeaderBytes)
    @usableFromInline let isMergeableNow = Atomic<Bool>(false)
    @usableFromInline let guestTakesNow = Atomic<UInt8>(0)
    @usableFromInline let guestGivesNow = Atomic<UInt8>(0)
    @usableFromInline let activePairsNow = Atomic<Int>(1)

    private static let everyOffload = NetOffloads.guestFeatures.rawValue

    /// - Parameter options: of 1 to `NetOptions.mostPairs` pairs.
    public init(_ options: NetOptions) {
        precondition((1...NetOptions.mostPairs).contains(options.pairs))
        self.options = options
        currentMTU = Atomic(options.mtu ?? 0)
        filter = ReceiveFilter(own: options.mac)
    }

    // What a worker asks.

    /// Bytes of the header before each packet.
    @inlinable public var headerBytes: Int { headerBytesNow.load(ordering: .relaxed) }
    /// Whether a packet for the driver may be put into several buffers.
    @inlinable public var isMergeable: Bool { isMergeableNow.load(ordering: .relaxed) }
    /// What the driver takes unfinished, now.
    @inlinable public var guestTakes: NetOffloads {
        NetOffloads(rawValue: guestTakesNow.load(ordering: .relaxed))
    }
    /// What the driver may hand out unfinished: its packets' headers are judged by this.
    @inlinable public var guestGives: NetOffloads {
        NetOffloads(rawValue: guestGivesNow.load(ordering: .relaxed))
    }
    /// Pairs of queues that the driver uses. Where the VMM keeps the control queue to itself that is
    /// all of them, and the rings that are enabled tell more.
    @inlinable public var activePairs: Int { activePairsNow.load(ordering: .relaxed) }
    public var pairCount: Int { options.pairs }

    /// Whether the driver wants every packet.
    @inlinable public var receivesAll: Bool { filter.isOpen.load(ordering: .relaxed) }

    /// Whether the driver wants the packets for `destination`, in `vlan`, or without a tag where that
    /// is nil. All, until it has said something else.
    @inlinable
    public func receives(_ destination: MACAddress, vlan: UInt16?) -> Bool {
        receivesAll || isWanted(destination, vlan)
    }

    @usableFromInline
    func isWanted(_ destination: MACAddress, _ vlan: UInt16?) -> Bool {
        filter.wants(destination, vlan: vlan)
    }

    /// The address that the driver has now.
    public var mac: MACAddress { filter.address }

    /// The number of the control queue, or nil where none was accepted. Without MQ it follows the
    /// first pair, however many there are (virtio 1.3 §5.1.2).
    public var controlQueue: Int? {
        guard hasAccepted(.netControlQueue) else { return nil }
        let pairs = hasAccepted(.netMultiqueue) ? options.pairs : 1
        return pairs * NetLayout.queuesPerPair
    }

    // VirtioDevice.

    public var features: Features {
        var features: Features = [.netMAC, .netStatus]
        features.formUnion(options.takes.featuresFromDriver)
        features.formUnion(options.gives.featuresToDriver)
        if options.mtu != nil { features.insert(.netMTU) }
        if options.isMergeable { features.insert(.netMergeableBuffers) }
        if options.speed != NetOptions.speedUnknown { features.insert(.netSpeedDuplex) }
        // MQ needs a control queue, but not one here: a VMM that keeps it offers it beside.
        if options.pairs > 1 { features.insert(.netMultiqueue) }
        guard options.hasControlQueue else { return features }
        features.formUnion([
            .netControlQueue, .netControlReceiveMode, .netControlReceiveModeExtra,
            .netControlVLAN, .netControlMAC, .netGuestAnnounce,
        ])
        if !options.gives.coherent.isEmpty { features.insert(.netControlGuestOffloads) }
        return features
    }

    public var queueCount: Int {
        options.pairs * NetLayout.queuesPerPair + (options.hasControlQueue ? 1 : 0)
    }
    public var largestQueue: UInt32 { options.largestQueue }

    public var configuration: [UInt8] {
        var space = [UInt8](repeating: 0, count: NetConfigOffset.end)
        func put(_ value: UInt64, _ bytes: Int, at offset: Int) {
            for index in 0..<bytes {
                space[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(index)))
            }
        }
        put(mac.rawValue, 6, at: NetConfigOffset.mac)
        put(UInt64(status.load(ordering: .relaxed)), 2, at: NetConfigOffset.status)
        put(UInt64(options.pairs), 2, at: NetConfigOffset.pairCount)
        put(UInt64(currentMTU.load(ordering: .relaxed)), 2, at: NetConfigOffset.mtu)
        put(UInt64(options.speed), 4, at: NetConfigOffset.speed)
        put(options.isFullDuplex ? 1 : 0, 1, at: NetConfigOffset.duplex)
        return space
    }

    /// Only a legacy driver writes, and only its address (virtio 1.3 §5.1.4.2).
    public func writeConfiguration(_ bytes: [UInt8], at offset: Int) -> Bool {
        turn.take {
            guard !hasAccepted(.version1), offset >= 0, offset < 6, !bytes.isEmpty,
                bytes.count <= 6 - offset
            else { return false }
            var address = mac.bytes
            address.replaceSubrange(offset..<(offset + bytes.count), with: bytes)
            filter.address = MACAddress(address[...])
            return true
        }
    }

    public func accept(_ features: Features) {
        turn.take {
            accepted.store(features.rawValue, ordering: .relaxed)
            refresh()
        }
    }

    public func reset() {
        turn.take {
            accepted.store(0, ordering: .relaxed)
            allowed.store(Self.everyOffload, ordering: .relaxed)
            pairsWanted.store(0, ordering: .relaxed)
            unannounced.store(0, ordering: .relaxed)
            status.bitwiseAnd(~NetStatus.announce, ordering: .relaxed)
            filter.reset(own: options.mac)
            refresh()
        }
    }

    func hasAccepted(_ features: Features) -> Bool {
        Features(rawValue: accepted.load(ordering: .relaxed)).isSuperset(of: features)
    }

    /// Works out what follows from what was said. In turn.
    private func refresh() {
        let features = Features(rawValue: accepted.load(ordering: .relaxed))
        let isMergeable = features.contains(.netMergeableBuffers)
        let hasLong = isMergeable || features.contains(.version1)
        headerBytesNow.store(
            hasLong ? NetLayout.headerBytes : NetLayout.legacyHeaderBytes, ordering: .relaxed)
        isMergeableNow.store(isMergeable, ordering: .relaxed)
        let allowed = Features(rawValue: allowed.load(ordering: .relaxed))
        let taken = NetOffloads(toDriver: features.intersection(allowed))
        guestTakesNow.store(taken.rawValue, ordering: .relaxed)
        guestGivesNow.store(NetOffloads(fromDriver: features).rawValue, ordering: .relaxed)
        let isControlled = features.contains(.netControlQueue)
        filter.negotiate(
            filters: isControlled && features.contains(.netControlReceiveMode),
            filtersVLANs: isControlled && features.contains(.netControlVLAN))
        // Until the driver says more it uses one pair, if it can say so here.
        var pairs = pairsWanted.load(ordering: .relaxed)
        if pairs == 0 { pairs = isControlRunning.load(ordering: .relaxed) ? 1 : options.pairs }
        if !features.contains(.netMultiqueue) { pairs = 1 }
        activePairsNow.store(pairs, ordering: .relaxed)
    }
}

// What the port and the front-end change.
extension NetDevice {
    /// Whether the driver sees its link up. Whoever changes it tells the driver that the
    /// configuration space has changed.
    public var isLinkUp: Bool {
        get { status.load(ordering: .relaxed) & NetStatus.linkUp != 0 }
        set {
            if newValue {
                status.bitwiseOr(NetStatus.linkUp, ordering: .relaxed)
            } else {
                status.bitwiseAnd(~NetStatus.linkUp, ordering: .relaxed)
            }
        }
    }

    /// The MTU that holds, or nil where none was said.
    public var mtu: UInt16? {
        let mtu = currentMTU.load(ordering: .relaxed)
        return mtu == 0 ? nil : mtu
    }

    /// Takes the front-end's MTU (NET_SET_MTU). False, and nothing has changed, where it is less than
    /// a device may have, or more than the operator allows.
    public func setMTU(_ mtu: UInt64) -> Bool {
        guard let mtu = UInt16(exactly: mtu), mtu >= NetLayout.leastMTU, mtu <= options.mtu ?? .max
        else { return false }
        currentMTU.store(mtu, ordering: .relaxed)
        return true
    }

    /// Asks the driver to announce itself to its network; the bit stays until it acknowledges.
    /// Whoever asks tells the driver that the configuration space has changed. Returns false where
    /// the driver has not agreed to that, or would acknowledge it elsewhere: then it must be announced
    /// for it.
    @discardableResult
    public func requestAnnounce() -> Bool {
        turn.take {
            guard hasAccepted([.netGuestAnnounce, .netStatus, .netControlQueue]),
                isControlQueueRunning
            else { return false }
            status.bitwiseOr(NetStatus.announce, ordering: .relaxed)
            return true
        }
    }
}

// What the control queue's commands need, each in turn.
extension NetDevice {
    /// Takes a control command and answers it (virtio 1.3 §5.1.6.5). A command that is not known, was
    /// not negotiated, or carries what it must not changes nothing.
    /// - Parameter data: what stands between the command and the byte for the answer, in full.
    public func control(
        _ class: UInt8, _ command: UInt8, _ data: [UInt8]
    ) -> NetControlAnswer {
        turn.take { perform(NetCommand(`class`, command, data)) } ? .ok : .error
    }

    /// Whether the ring of the control queue has been started. That the driver has accepted one does
    /// not say that it is here: some VMMs say so and keep it.
    public var isControlQueueRunning: Bool {
        get { isControlRunning.load(ordering: .relaxed) }
        set {
            turn.take {
                isControlRunning.store(newValue, ordering: .relaxed)
                refresh()
            }
        }
    }

    private func perform(_ command: NetCommand?) -> Bool {
        guard let command, hasAccepted(.netControlQueue), hasAccepted(command.feature) else {
            return false
        }
        switch command {
        case .receiveMode(let number, let isOn): filter.set(number, isOn)
        case .setTables(let unicast, let multicast):
            filter.setTables(unicast: unicast, multicast: multicast)
        case .setAddress(let address): filter.address = address
        case .setMember(let vlan, let isMember): filter.setMember(vlan, isMember)
        case .acknowledgeAnnounce:
            let asked = status.bitwiseAnd(~NetStatus.announce, ordering: .relaxed).oldValue
            return asked & NetStatus.announce != 0
        case .setPairs(let pairs):
            guard pairs >= 1, pairs <= options.pairs else { return false }
            pairsWanted.store(pairs, ordering: .relaxed)
        case .setOffloads(let offloads):
            // No others than those the driver has accepted.
            guard NetOffloads.guestFeatures.isSuperset(of: offloads), hasAccepted(offloads) else {
                return false
            }
            allowed.store(offloads.rawValue, ordering: .relaxed)
        }
        refresh()
        return true
    }
}
