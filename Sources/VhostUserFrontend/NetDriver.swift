import Host
import VirtioSpec

/// A virtio-net driver on a vhost-user back-end: from the handshake to running queues.
public final class NetDriver {
    public struct Options: Sendable {
        /// Queue pairs; more than one is refused where the back-end has no MQ.
        public var pairs = 1
        public var queueSize: UInt16 = 256
        /// Whether the driver makes and starts its queues. Else somebody does so by `queueShape` and
        /// `start`.
        public var makesQueues = true
        /// Feature bits to accept of those offered.
        public var features = Features(rawValue: .max)
        /// Protocol features to accept of those offered; nil for a front-end that knows of none. Not
        /// STATUS: who accepts it must go on to report its driver's status.
        public var protocolFeatures: ProtocolFeatures? =
            ProtocolFeatures(rawValue: .max).subtracting(.status)
        /// Packets may come in several buffers, where the back-end offers that.
        public var mergeable = true
        /// Checksums and segmentation left to the other side, either way: those of them to accept of
        /// those offered.
        public var offloads: Features = []
        /// The device serves the control queue, where it offers to. VMMs mostly do that themselves.
        public var controlQueue = false
        /// A driver from before VERSION_1: without mergeable buffers its header has 10 bytes.
        public var legacy = false
        /// Chains of two buffers or more go through tables.
        public var indirect = false
        /// Packed rings: refused where the back-end has none. Without it they are never accepted.
        public var packed = false
        /// Chains come back in their order; the same holds for it.
        public var inOrder = false
        /// Memory region by region (ADD_MEM_REG) instead of in one table.
        public var memoryBySlots = false
        /// The base where the rings begin, as SET_VRING_BASE has it; nil for rings that never ran.
        public var start: UInt32?

        public init() {}
    }

    public let connection: FrontendConnection
    public let ram: GuestRAM
    public let options: Options
    public let features: Features
    /// Pair n's queue into the guest is 2n, the one out of it 2n + 1; the control queue comes last.
    public private(set) var queues: [DriverQueue] = []
    /// The buffers of `offerBuffers`, by token.
    var received: [[DriverBuffer]] = []
    /// Where the control queue is among the device's.
    public let controlIndex: Int?
    /// Milliseconds that anything synchronous may take.
    public var deadline: Int32 = 10_000

    /// Makes the handshake that a VMM makes, and starts the queues.
    public init(
        _ connection: FrontendConnection, _ ram: GuestRAM, _ options: Options = Options()
    ) throws(FrontendError) {
        self.connection = connection
        self.ram = ram
        self.options = options
        features = try Self.accept(connection.features(), options)
        try connection.negotiate(options.protocolFeatures, features)
        try connection.tell(.setOwner)
        try connection.setFeatures(features)
        try connection.share(ram, bySlots: options.memoryBySlots)
        controlIndex = try Self.controlIndex(connection, features)
        guard options.makesQueues else { return }
        for index in 0..<options.pairs * NetLayout.queuesPerPair {
            queues.append(try queueShape.queue(ram))
            try start(index, queues[index].place, base: queues[index].start)
        }
        guard let controlIndex else { return }
        let control = try queueShape.queue(ram)
        queues.append(control)
        try start(controlIndex, control.place, base: control.start)
    }

    /// What is accepted of the features that a back-end offers.
    static func accept(
        _ offered: Features, _ options: Options
    ) throws(FrontendError) -> Features {
        var accepted = offered.intersection(options.features)
        if options.protocolFeatures == nil { accepted.remove(.protocolFeatures) }
        if !options.mergeable { accepted.remove(.netMergeableBuffers) }
        if options.legacy { accepted.remove(.version1) }
        if !options.controlQueue { accepted.subtract(.netOfControlQueue) }
        accepted.subtract(.netOffloads.subtracting(options.offloads))
        return try accepted.choosing([
            (.packedRing, isWanted: options.packed), (.inOrder, isWanted: options.inOrder),
            (.netMultiqueue, isWanted: options.pairs > 1),
        ])
    }

    /// The control queue follows the last pair that the device has, in use or not (§5.1.2).
    private static func controlIndex(
        _ connection: FrontendConnection, _ features: Features
    ) throws(FrontendError) -> Int? {
        guard features.contains(.netControlQueue) else { return nil }
        guard features.contains(.netMultiqueue) else { return NetLayout.queuesPerPair }
        guard let config = try connection.config(offset: 0, count: UInt32(NetConfigOffset.end))
        else { throw .device("no configuration space to say where the control queue is") }
        return Int(NetConfiguration(config).pairCount) * NetLayout.queuesPerPair
    }

    /// What a queue of the negotiated form is like.
    public var queueShape: QueueShape {
        QueueShape(
            isPacked: features.contains(.packedRing), size: options.queueSize,
            options: DriverQueue.Options(
                eventIndex: features.contains(.eventIndex), indirect: options.indirect,
                inOrder: features.contains(.inOrder)),
            start: options.start)
    }

    /// Bytes before every packet, either way.
    public var headerBytes: Int {
        features.isDisjoint(with: [.version1, .netMergeableBuffers])
            ? NetLayout.legacyHeaderBytes : NetLayout.headerBytes
    }

    public var isMergeable: Bool { features.contains(.netMergeableBuffers) }

    /// The queues of a pair: into the guest, and out of it.
    public func receiveQueue(_ pair: Int = 0) -> DriverQueue { queues[2 * pair] }
    public func transmitQueue(_ pair: Int = 0) -> DriverQueue { queues[2 * pair + 1] }

    /// Describes a ring and starts it, of this driver or of whoever uses its connection.
    /// - Parameter index: the device's number for it.
    public func start(_ index: Int, _ place: RingPlace, base: UInt32) throws(FrontendError) {
        try connection.start(index, place, base: base, features)
    }

    /// Starts a stopped ring of the driver's own where it is to go on.
    public func start(_ index: Int, base: UInt32) throws(FrontendError) {
        try start(index, queues[index].place, base: base)
    }

    /// Stops every ring of the pairs and returns their bases.
    public func stop() throws(FrontendError) -> [UInt32] {
        var bases: [UInt32] = []
        for index in 0..<options.pairs * NetLayout.queuesPerPair {
            bases.append(try connection.vringBase(UInt32(index)))
        }
        return bases
    }

    /// The configuration space; nil where the back-end tells none.
    public func configuration() throws(FrontendError) -> NetConfiguration? {
        guard connection.protocolFeatures.contains(.config) else { return nil }
        return try connection.config(offset: 0, count: UInt32(NetConfigOffset.end))
            .map { NetConfiguration($0) }
    }
}

/// What a network device says of itself (virtio 1.3 §5.1.4).
public struct NetConfiguration: Equatable, Sendable {
    /// In the order of the wire.
    public let mac: [UInt8]
    /// Of `NetStatus`.
    public let status: UInt16
    public let pairCount: UInt16
    public let mtu: UInt16
    public let speed: UInt32
    public let duplex: UInt8

    /// From the bytes of the configuration space; what a back-end leaves out reads as zero.
    public init(_ told: [UInt8]) {
        let missing = max(0, NetConfigOffset.end - told.count)
        let bytes = told + [UInt8](repeating: 0, count: missing)
        mac = Array(bytes[NetConfigOffset.mac..<NetConfigOffset.status])
        status = Bytes.u16(bytes, at: NetConfigOffset.status)
        pairCount = Bytes.u16(bytes, at: NetConfigOffset.pairCount)
        mtu = Bytes.u16(bytes, at: NetConfigOffset.mtu)
        speed = Bytes.u32(bytes, at: NetConfigOffset.speed)
        duplex = bytes[NetConfigOffset.duplex]
    }
}

extension Features {
    /// What one side may leave to the other, to be accepted bit by bit.
    public static let netOffloads: Features = [
        .netChecksum, .netGuestChecksum, .netGuestTSO4, .netGuestTSO6, .netGuestECN, .netGuestUFO,
        .netHostTSO4, .netHostTSO6, .netHostECN, .netHostUFO, .netGuestUSO4, .netGuestUSO6,
        .netHostUSO,
    ]

    /// The control queue, and what needs it. MQ does too, but a VMM may serve the queue itself.
    static let netOfControlQueue: Features = [
        .netControlQueue, .netControlGuestOffloads, .netControlReceiveMode, .netControlVLAN,
        .netControlReceiveModeExtra, .netGuestAnnounce, .netControlMAC,
    ]
}
