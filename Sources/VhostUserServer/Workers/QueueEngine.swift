import GuestMemory
import Host
import Logging
import Virtqueue

/// What a worker runs on a queue: it turns chains into the device's work and back. Made on the
/// worker's thread when a queue starts, and dropped when it stops.
public protocol QueueEngine: ~Copyable, SendableMetatype {
    /// The device, or what several have in common, as all threads see it.
    associatedtype Device: Sendable

    /// - Parameters:
    ///   - place: which of the device's queues it is, and where on its worker.
    ///   - slots: the queue's size; a chain's head is its slot.
    ///   - tags: added to a slot, it makes the tag under which the slot's operations go to the ring.
    init(
        _ device: Device, _ place: QueuePlace, slots: Int, tags: UInt64
    ) throws(SystemError)

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

    /// Whether what it waits for wakes the worker without the driver's doing: then the queue is not
    /// watched.
    var isWaitedFor: Bool { get }

    /// Whether it serves a queue that the driver has disabled, in its own way.
    var servesDisabled: Bool { get }

    /// Whether it goes on with what the driver does next, and so must hear of that.
    var wantsKick: Bool { get }

    /// The queue is left alone from here on: asks for what else is to wake it.
    mutating func fallAsleep(_ ring: inout IORing)

    /// The queue has stopped: takes back what it asked for.
    mutating func stop(_ ring: inout IORing)

    /// The queue takes nothing more, and is to be suspended soon: asks the store to give back what
    /// it can. From here on a request that fails is left in flight instead of answered.
    mutating func cancel(_ ring: inout IORing)

    /// Leaves every chain in flight to whoever runs the ring next; their operations linger.
    mutating func suspend<Queue: DeviceQueue & ~Copyable>(_ queue: inout Queue)

    /// Operations under way whose chains were left.
    var lingering: Int { get }

    /// Such an operation has ended.
    mutating func endLingering()

    /// A breath of the queue `number` of a worker's `queues`. Returns whether there was anything.
    static func breathe(
        _ number: Int, _ queues: inout Table<RunningQueue<Self>?>, _ ring: inout IORing,
        _ logger: Logger
    ) -> Bool
}

extension QueueEngine where Self: ~Copyable {
    public var isWaitedFor: Bool { inFlight > 0 }
    public var servesDisabled: Bool { false }

    public var wantsKick: Bool { true }

    public mutating func fallAsleep(_ ring: inout IORing) {}

    public mutating func stop(_ ring: inout IORing) {}

    public mutating func cancel(_ ring: inout IORing) {}

    public mutating func suspend<Queue: DeviceQueue & ~Copyable>(_ queue: inout Queue) {}

    public var lingering: Int { 0 }

    public mutating func endLingering() {}

    @inline(__always)
    public static func breathe(
        _ number: Int, _ queues: inout Table<RunningQueue<Self>?>, _ ring: inout IORing,
        _ logger: Logger
    ) -> Bool {
        queues[number]?.breathe(&ring, logger) ?? false
    }
}

/// Which queue of its device a queue is, and which it is among those of its worker.
public struct QueuePlace: Sendable {
    /// Of the devices that the workers serve.
    public let device: Int
    public let queue: Int
    public let local: Int
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
    /// Packets that found no room, or nobody to take them.
    public var dropped: UInt64 = 0
    /// The queue was latched: 0 or 1.
    public var violations: UInt64 = 0
    public var kicks: UInt64 = 0
    public var calls: UInt64 = 0
    /// The system error that the latest failed request met.
    public var lastError: Int32 = 0

    public init() {}
}
