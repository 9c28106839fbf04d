import Host
import VirtioSpec

/// Many requests in flight on one queue: a slot each, with a header, a status byte and data of its
/// own in guest memory. Nothing is allocated once it is made.
public final class BlockStream {
    public let queue: DriverQueue
    public let slots: Int
    public let bytesPerSlot: Int
    private let ram: GuestRAM
    private let headers: UInt64
    private let statuses: UInt64
    private let data: UInt64

    /// - Parameter slots: requests in flight; with `bytesPerSlot` of data each.
    public init(_ driver: BlockDriver, queue index: Int, slots: Int, bytesPerSlot: Int) {
        ram = driver.ram
        queue = driver.queues[index]
        self.slots = slots
        self.bytesPerSlot = bytesPerSlot
        headers = ram.allocate(slots * BlockLayout.headerBytes)
        statuses = ram.allocate(slots)
        data = ram.allocate(slots * bytesPerSlot, alignment: 4096)
    }

    /// Guest address of a slot's data.
    public func address(_ slot: Int) -> UInt64 { data + UInt64(slot * bytesPerSlot) }

    /// Offers a request; the queue's `submit` shows it to the device. False where the ring is full.
    public func offer(_ type: UInt32, sector: UInt64, slot: Int) -> Bool {
        let header = headers + UInt64(slot * BlockLayout.headerBytes)
        let (mapping, offset, _) = ram.place(header)
        mapping.store32(type, at: offset)
        mapping.store32(0, at: offset + 4)
        mapping.store64(sector, at: offset + 8)
        let status = statuses + UInt64(slot)
        ram.write([BlockDriver.untouchedStatus], at: status)
        var buffers = [DriverBuffer.readable(header, BlockLayout.headerBytes)]
        if type == BlockRequestType.in {
            buffers.append(.writable(address(slot), bytesPerSlot))
        } else if type == BlockRequestType.out {
            buffers.append(.readable(address(slot), bytesPerSlot))
        }
        buffers.append(.writable(status, 1))
        return queue.offer(buffers, token: UInt64(slot)) != nil
    }

    /// The next finished request: its slot and status.
    public func reap() throws(FrontendError) -> (slot: Int, status: UInt8)? {
        guard let done = try queue.reap() else { return nil }
        return (Int(done.token), ram.read(1, at: statuses + done.token)[0])
    }
}
