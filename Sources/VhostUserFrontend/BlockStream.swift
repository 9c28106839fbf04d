import Host
import VirtioSpec

/// Many requests in flight on one queue: a slot each, with a header, a status byte and data of its
/// own in guest memory. Nothing is allocated once it is made.
public final class BlockStream {
    public let queue: DriverQueue
    public let slots: Int
    public let bytesPerSlot: Int
    /// A header and a status byte each, a cache line apart.
    private let heads: RingPart
    private let data: RingPart
    private static let headBytes = 64
    private static let statusOffset = 32

    /// - Parameter slots: requests in flight; with `bytesPerSlot` of data each.
    public init(_ queue: DriverQueue, slots: Int, bytesPerSlot: Int) {
        self.queue = queue
        self.slots = slots
        self.bytesPerSlot = bytesPerSlot
        heads = RingPart(queue.ram, bytes: slots * Self.headBytes, alignment: 64)
        data = RingPart(queue.ram, bytes: slots * bytesPerSlot, alignment: 4096)
    }

    public convenience init(_ driver: BlockDriver, queue index: Int, slots: Int, bytesPerSlot: Int)
    {
        self.init(driver.queues[index], slots: slots, bytesPerSlot: bytesPerSlot)
    }

    /// Guest address of a slot's data.
    public func address(_ slot: Int) -> UInt64 { data.address + UInt64(slot * bytesPerSlot) }

    /// The mapping that holds all data, and where in it a slot's begins.
    public var memory: Mapping { data.memory }
    public func offset(_ slot: Int) -> Int { data.start + slot * bytesPerSlot }

    /// Offers a request; the queue's `submit` shows it to the device. False where the ring is full.
    /// - Parameters:
    ///   - type: IN and OUT move all of the slot's data, others none.
    ///   - slot: must not be in flight.
    public func offer(_ type: UInt32, sector: UInt64, slot: Int) -> Bool {
        precondition(slot >= 0 && slot < slots)
        let place = slot * Self.headBytes
        let memory = heads.memory
        memory.store64(UInt64(type), at: heads.start + place)
        memory.store64(sector, at: heads.start + place + 8)
        memory.store8(BlockDriver.untouchedStatus, at: heads.start + place + Self.statusOffset)
        let header = DriverBuffer(
            address: heads.address + UInt64(place), length: UInt32(BlockLayout.headerBytes),
            isWritable: false)
        let status = DriverBuffer(
            address: header.address + UInt64(Self.statusOffset), length: 1, isWritable: true)
        let isRead = type == BlockRequestType.in
        guard isRead || type == BlockRequestType.out else {
            let buffers: InlineArray<2, DriverBuffer> = [header, status]
            return queue.offer(buffers.span, token: UInt64(slot)) != nil
        }
        let moved = DriverBuffer(
            address: address(slot), length: UInt32(bytesPerSlot), isWritable: isRead)
        let buffers: InlineArray<3, DriverBuffer> = [header, moved, status]
        return queue.offer(buffers.span, token: UInt64(slot)) != nil
    }

    /// The next finished request: its slot and status.
    public func reap() throws(FrontendError) -> (slot: Int, status: UInt8)? {
        guard let done = try queue.reap() else { return nil }
        let slot = Int(done.token)
        guard slot < slots else { throw .device("a chain that is not the stream's") }
        let place = heads.start + slot * Self.headBytes + Self.statusOffset
        return (slot, heads.memory.load8(at: place))
    }
}
