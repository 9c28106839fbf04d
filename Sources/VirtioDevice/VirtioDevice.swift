import VirtioSpec

/// What a virtio device is to its session: feature bits and a configuration space. The queues'
/// traffic is no business of this protocol.
public protocol VirtioDevice: Sendable {
    /// Feature bits of this kind of device; the session adds those of rings and transport.
    var features: Features { get }
    /// Queues the device serves, 1 to 256.
    var queueCount: Int { get }
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
}
