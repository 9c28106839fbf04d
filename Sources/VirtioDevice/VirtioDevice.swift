import VirtioSpec

/// What a virtio device is to its session: feature bits and a configuration space. The queues'
/// traffic is no business of this protocol.
public protocol VirtioDevice: Sendable {
    /// Feature bits of this kind of device; the session adds those of rings and transport.
    var features: Features { get }
    /// Queues the device serves, 1 to 256.
    var queueCount: Int { get }
    /// Queues that follow each other and work together: one worker runs them.
    var queuesPerGroup: Int { get }
    /// What GET_QUEUE_NUM is answered with: queues, or for a network device pairs of them.
    var queueNumber: Int { get }
    /// Entries of the largest queue, a power of two.
    var largestQueue: UInt32 { get }
    /// The configuration space as a driver reads it now, in full.
    var configuration: [UInt8] { get }
    /// Takes the driver's write of `bytes` at `offset`. Returns false where no writable field lies
    /// there: the write is refused whole.
    func writeConfiguration(_ bytes: [UInt8], at offset: Int) -> Bool
    /// The driver has accepted these features.
    func accept(_ features: Features)
    /// Back to the state before any driver.
    func reset()
    /// The driver has let go of the device. As `reset`, but what a driver does not say again that was
    /// only halted, as with its VMM, and would be wrong to rely on, stays.
    func driverLeft()
    /// Protocol features that this kind of device adds to the session's.
    var protocolFeatures: ProtocolFeatures { get }
    /// Protocol features of the session's that it does without.
    var protocolFeaturesWithheld: ProtocolFeatures { get }
    /// NET_SET_MTU: false where that MTU can't be.
    func setMTU(_ mtu: UInt64) -> Bool
    /// SEND_RARP: the guest's address, its first byte lowest, to be announced to its network.
    /// - Parameter canTell: whether the driver hears it when the configuration space has changed.
    func announce(mac: UInt64, canTell: Bool) -> Announcement
}

/// Who announces a guest to its network.
public enum Announcement: Equatable, Sendable {
    /// Nobody: there is no network, or that is no station's address.
    case refused
    /// The driver, as soon as it hears that the configuration space has changed.
    case byDriver
    /// The queue of this number: at its start, or when it is told to.
    case byQueue(Int)
}

extension VirtioDevice {
    public var queuesPerGroup: Int { 1 }
    public var queueNumber: Int { queueCount }
    public var protocolFeatures: ProtocolFeatures { [] }
    public var protocolFeaturesWithheld: ProtocolFeatures { [] }
    public func setMTU(_ mtu: UInt64) -> Bool { false }
    public func announce(mac: UInt64, canTell: Bool) -> Announcement { .refused }
}
