import Host
import VirtioSpec

/// What a queue is like, before there is one: enough to make it on any thread.
public struct QueueShape: Sendable {
    public var isPacked: Bool
    public var size: UInt16
    public var options: DriverQueue.Options
    /// As SET_VRING_BASE has it; nil for a ring that never ran.
    public var start: UInt32?

    public init(
        isPacked: Bool, size: UInt16, options: DriverQueue.Options, start: UInt32? = nil
    ) {
        self.isPacked = isPacked
        self.size = size
        self.options = options
        self.start = start
    }

    /// A queue of this shape in guest memory of its own; not started.
    public func queue(_ ram: GuestRAM) throws(FrontendError) -> DriverQueue {
        guard isPacked else {
            return try SplitDriverQueue(ram, size: size, options, start: start ?? 0)
        }
        let start = start ?? PackedRingBase.fresh.rawValue
        return try PackedDriverQueue(ram, size: size, options, start: start)
    }
}

/// All that a back-end is told of a ring: its parts by user address, and its descriptors, which are
/// the queue's.
public struct RingPlace: Sendable {
    public let size: UInt16
    /// The base of a ring that has not run yet.
    public let start: UInt32
    public let descriptors: UInt64
    public let available: UInt64
    public let used: UInt64
    public let kick: Int32
    public let call: Int32
    public let error: Int32
}

extension DriverQueue {
    public final var place: RingPlace {
        RingPlace(
            size: size, start: start, descriptors: ram.userAddress(descriptors),
            available: ram.userAddress(available), used: ram.userAddress(used),
            kick: kick.descriptor.raw, call: call.descriptor.raw, error: error.descriptor.raw)
    }
}
