import GuestMemory
import Host
import VhostUserFrontend
import VirtioSpec
import Virtqueue

/// Both sides of one ring over real shared memory: the driver's of the front-end library, the
/// device's under test. No socket, no thread.
final class RingBench {
    let driver: DriverQueue
    let map: GuestMap
    var queue: SplitQueue
    var memory: GuestMemory
    var buffers = ChainBuffers()

    init(
        size: UInt16 = 8, eventIndex: Bool = true, indirect: Bool = false, start: UInt16 = 0,
        ram: GuestRAM? = nil
    ) throws {
        let ram = try ram ?? GuestRAM(byteCount: 8 << 20)
        let options = DriverQueue.Options(eventIndex: eventIndex, indirect: indirect)
        let driver = try DriverQueue(ram, size: size, options, start: start)
        let map = try Self.map(ram)
        let ring = try SplitRingMemory(
            map, Self.addresses(driver), size: QueueSize(UInt32(size))!)
        queue = SplitQueue(ring, base: start, features: eventIndex ? .eventIndex : [])
        memory = GuestMemory(map)
        self.driver = driver
        self.map = map
    }

    /// The device's view of the driver's memory.
    static func map(_ ram: GuestRAM) throws -> GuestMap {
        var map = GuestMap.empty
        for region in ram.regions {
            map = try map.adding(region.description, file: region.memory.descriptor)
        }
        return map
    }

    static func addresses(_ driver: DriverQueue) -> RingAddresses {
        RingAddresses(
            descriptors: driver.ram.userAddress(driver.descriptors),
            available: driver.ram.userAddress(driver.available),
            used: driver.ram.userAddress(driver.used))
    }

    /// Shows the driver what was given back; true where it wants a call.
    func publish() -> Bool { queue.publish() }

    /// What the device takes next: the bytes it may read and write, with the chain given back at
    /// once; nil where there is nothing.
    func takeOne(written: UInt32 = 0) throws(QueueViolation) -> (read: Int, write: Int)? {
        guard let chain = try queue.next(&memory, &buffers) else { return nil }
        queue.complete(chain, written: written)
        return (buffers.readable.byteCount, buffers.writable.byteCount)
    }
}
