import GuestMemory
import Host
import VirtioDevice
import Virtqueue

/// What a worker runs on a queue: it turns chains into the device's work and back. Made on the
/// worker's thread when a queue starts, and dropped when it stops.
public protocol QueueEngine: ~Copyable, SendableMetatype {
    associatedtype Device: VirtioDevice

    /// - Parameters:
    ///   - slots: the queue's size; a chain's head is its slot.
    ///   - tags: added to a slot, it makes the tag under which the slot's operations go to the ring.
    init(_ device: Device, slots: Int, tags: UInt64) throws(SystemError)

    /// Chains taken and not yet given back.
    var inFlight: Int { get }
    var counters: QueueCounters { get set }

    /// Takes what the driver has made available, up to a bounded number of chains, and starts it.
    /// Returns whether there was anything.
    mutating func breathe<Queue: DeviceQueue & ~Copyable>(
        _ queue: inout Queue, _ memory: inout GuestMemory, _ ring: inout IORing
    ) throws(QueueViolation) -> Bool

    /// Takes the result of an operation that was handed to the ring under `slot`.
    mutating func complete<Queue: DeviceQueue & ~Copyable>(
        slot: Int, result: Int32, _ queue: inout Queue, _ ring: inout IORing)

    /// Whether anything in flight still uses memory of `mapping`.
    mutating func touches(_ mapping: Mapping) -> Bool
}

/// What happened on a queue since it was started. Kept by its worker alone.
public struct QueueCounters: Equatable, Sendable {
    public var requests: UInt64 = 0
    public var bytesRead: UInt64 = 0
    public var bytesWritten: UInt64 = 0
    /// Answered with an I/O error.
    public var failed: UInt64 = 0
    /// Answered as unsupported.
    public var unsupported: UInt64 = 0
    /// Without room for an answer: given back empty.
    public var malformed: UInt64 = 0
    /// The queue was latched: 0 or 1.
    public var violations: UInt64 = 0
    public var kicks: UInt64 = 0
    public var calls: UInt64 = 0
    /// The system error that the latest failed request met.
    public var lastError: Int32 = 0

    public init() {}
}
