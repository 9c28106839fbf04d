import Host
import VirtioSpec

/// A virtio-blk driver on a vhost-user back-end: from the handshake to requests and back.
public final class BlockDriver {
    public struct Options: Sendable {
        public var queues = 1
        public var queueSize: UInt16 = 128
        /// Feature bits to accept of those offered.
        public var features = Features(rawValue: .max)
        /// Protocol features to accept of those offered; nil for a front-end that knows of none.
        public var protocolFeatures: ProtocolFeatures? = ProtocolFeatures(rawValue: .max)
        /// Chains of two buffers or more go through tables.
        public var indirect = false
        /// Memory region by region (ADD_MEM_REG) instead of in one table.
        public var memoryBySlots = false
        /// Packed rings: refused where the back-end has none. Without it they are never accepted.
        public var packed = false
        /// Chains come back in their order; the same holds for it.
        public var inOrder = false
        /// Keeps a region where the back-end notes what is in flight, if it offers to.
        public var keepsInflight = false
        /// The base where the rings begin, as SET_VRING_BASE has it; nil for rings that never ran.
        public var start: UInt32?
        /// Bytes of the data that a synchronous request may carry.
        public var arenaBytes = 4 << 20

        public init() {}
    }

    public internal(set) var connection: FrontendConnection
    public let ram: GuestRAM
    public let options: Options
    public let features: Features
    public private(set) var queues: [DriverQueue] = []
    /// What outlives a back-end that is killed; nil where it tracks nothing, or is not asked to.
    public internal(set) var inflight: InflightRegion?
    /// Memory of synchronous requests, used again by each.
    let arena: UInt64
    /// Milliseconds that a request may take.
    public var deadline: Int32 = 10_000

    /// Makes the handshake that a VMM makes, and starts the queues.
    public init(
        _ connection: FrontendConnection, _ ram: GuestRAM, _ options: Options = Options()
    ) throws(FrontendError) {
        self.connection = connection
        self.ram = ram
        self.options = options
        features = try Self.accept(connection.features(), options)
        arena = ram.allocate(options.arenaBytes, alignment: 4096)
        try introduce()
        for index in 0..<options.queues {
            let queue = try queueShape.queue(ram)
            queues.append(queue)
            try start(index, base: queue.start)
        }
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

    /// The queues as split rings, or as packed ones; none where they are the other.
    public var splitQueues: [SplitDriverQueue] { queues.compactMap { $0 as? SplitDriverQueue } }
    public var packedQueues: [PackedDriverQueue] { queues.compactMap { $0 as? PackedDriverQueue } }

    /// What is accepted of the features that a back-end offers.
    static func accept(
        _ offered: Features, _ options: Options
    ) throws(FrontendError) -> Features {
        var accepted = offered.intersection(options.features)
        if options.protocolFeatures == nil { accepted.remove(.protocolFeatures) }
        return try accepted.choosing([
            (.packedRing, isWanted: options.packed), (.inOrder, isWanted: options.inOrder),
        ])
    }

    /// Starts a stopped ring like new, in other memory: as after a reset of the queue.
    public func renew(_ index: Int) throws(FrontendError) {
        queues[index] = try queueShape.queue(ram)
        try start(index, base: queues[index].start)
    }

    /// Describes a ring and starts it where it is to go on.
    /// - Parameter base: as GET_VRING_BASE gave it, or `DriverQueue.start`.
    public func start(_ index: Int, base: UInt32) throws(FrontendError) {
        queues[index].lastBase = base
        try start(index, queues[index].place, base: base)
    }

    /// The same for a queue that is not the driver's own: of another thread, say.
    public func start(_ index: Int, _ place: RingPlace, base: UInt32) throws(FrontendError) {
        try connection.start(index, place, base: base, features)
    }

    /// Stops every ring and returns their bases: an index, or a packed ring's `PackedRingBase`.
    public func stop() throws(FrontendError) -> [UInt32] {
        var bases: [UInt32] = []
        for (index, queue) in queues.enumerated() {
            queue.lastBase = try connection.vringBase(UInt32(index))
            bases.append(queue.lastBase)
        }
        return bases
    }

    /// The configuration space's first 60 bytes.
    public func configuration() throws(FrontendError) -> BlockConfiguration {
        guard let bytes = try connection.config(offset: 0, count: 60) else {
            throw .device("no configuration space")
        }
        return BlockConfiguration(bytes)
    }
}

/// What a block device says of itself (virtio 1.3 §5.2.4).
public struct BlockConfiguration: Equatable, Sendable {
    public let capacitySectors: UInt64
    public let segMax: UInt32
    public let blockSize: UInt32
    public let writeback: UInt8
    public let queueCount: UInt16
    public let maxDiscardSectors: UInt32
    public let maxDiscardSegments: UInt32
    public let maxWriteZeroesSectors: UInt32
    public let maxWriteZeroesSegments: UInt32
    public let writeZeroesMayUnmap: UInt8

    /// From the bytes of the configuration space; what a back-end leaves out reads as zero.
    public init(_ told: [UInt8]) {
        let bytes = told + Array(repeating: 0, count: max(0, BlockConfigOffset.end - told.count))
        capacitySectors = Bytes.u64(bytes, at: 0)
        segMax = Bytes.u32(bytes, at: 12)
        blockSize = Bytes.u32(bytes, at: 20)
        writeback = bytes[32]
        queueCount = Bytes.u16(bytes, at: 34)
        maxDiscardSectors = Bytes.u32(bytes, at: 36)
        maxDiscardSegments = Bytes.u32(bytes, at: 40)
        maxWriteZeroesSectors = Bytes.u32(bytes, at: 48)
        maxWriteZeroesSegments = Bytes.u32(bytes, at: 52)
        writeZeroesMayUnmap = bytes[56]
    }
}
