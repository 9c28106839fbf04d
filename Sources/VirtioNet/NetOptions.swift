import VirtioSpec

/// What the operator says about a network device, and what its port can do.
public struct NetOptions: Sendable {
    public var mac: MACAddress
    /// Bytes of the largest packet without its Ethernet header, at least `NetLayout.leastMTU`; nil
    /// where the driver may choose.
    public var mtu: UInt16?
    /// Pairs of queues, 1 to `mostPairs`.
    public var pairs: Int
    public var largestQueue: UInt32
    /// What the port takes unfinished from the driver.
    public var takes: NetOffloads
    /// What the port may hand to the driver unfinished.
    public var gives: NetOffloads
    /// Whether a packet for the driver may be put into several buffers.
    public var isMergeable: Bool
    /// Whether the control queue is served here, and not by the VMM.
    public var hasControlQueue: Bool
    /// Mbit/s, or `speedUnknown`.
    public var speed: UInt32
    public var isFullDuplex: Bool

    public init(
        mac: MACAddress, mtu: UInt16? = nil, pairs: Int = 1, largestQueue: UInt32 = 1024,
        takes: NetOffloads = [], gives: NetOffloads = [], isMergeable: Bool = true,
        hasControlQueue: Bool = false, speed: UInt32 = 10_000, isFullDuplex: Bool = true
    ) {
        self.mac = mac
        self.mtu = mtu
        self.pairs = pairs
        self.largestQueue = largestQueue
        self.takes = takes
        self.gives = gives
        self.isMergeable = isMergeable
        self.hasControlQueue = hasControlQueue
        self.speed = speed
        self.isFullDuplex = isFullDuplex
    }

    /// With the control queue as many as a device may have queues, which are 256.
    public static let mostPairs = 127
    public static let speedUnknown = UInt32.max
}
