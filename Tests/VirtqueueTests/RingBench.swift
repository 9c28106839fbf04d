import GuestMemory
import Host
import Testing
import VhostUserFrontend
import VirtioSpec
import Virtqueue

/// Both sides of one ring over real shared memory: the driver's of the front-end library, the
/// device's under test. No socket, no thread.
final class RingBench {
    let form: Form
    let driver: DriverQueue
    let map: GuestMap
    var queue: DeviceRing
    var memory: GuestMemory
    var buffers = ChainBuffers()
    private let features: Features

    /// - Parameter start: where the free-running indices begin; see `Form.base`.
    init(
        _ form: Form = .split, size: UInt16 = 8, eventIndex: Bool = true, indirect: Bool = false,
        inOrder: Bool = false, start: UInt64 = 0, ram: GuestRAM? = nil, map: GuestMap? = nil
    ) throws {
        let ram = try ram ?? GuestRAM(byteCount: 8 << 20)
        let options = DriverQueue.Options(
            eventIndex: eventIndex, indirect: indirect, inOrder: inOrder)
        let base = form.base(start, size: size)
        let driver = try form.driver(ram, size: size, options, start: base)
        let map = try map ?? Self.map(ram)
        var features: Features = eventIndex ? .eventIndex : []
        if inOrder { features.formUnion(.inOrder) }
        queue = try DeviceRing(
            form, map, Self.addresses(driver), size: size, base: base, features)
        memory = GuestMemory(map)
        self.form = form
        self.driver = driver
        self.map = map
        self.features = features
    }

    /// The driver's side where the ring is split, or packed: for its words.
    var split: SplitDriverQueue {
        guard let driver = driver as? SplitDriverQueue else { preconditionFailure("packed") }
        return driver
    }
    var packed: PackedDriverQueue {
        guard let driver = driver as? PackedDriverQueue else { preconditionFailure("split") }
        return driver
    }

    /// The device's view of the driver's memory.
    static func map(_ ram: GuestRAM) throws -> GuestMap {
        var map = GuestMap.empty
        for region in ram.regions {
            map = try map.adding(region.description, file: region.memory.descriptor)
        }
        return map
    }

    static func ring(
        _ map: GuestMap, _ addresses: RingAddresses, size: UInt16
    ) throws -> SplitRingMemory {
        try SplitRingMemory(map, addresses, size: try #require(QueueSize(UInt32(size))))
    }

    static func addresses(_ driver: DriverQueue) -> RingAddresses {
        RingAddresses(
            descriptors: driver.ram.userAddress(driver.descriptors),
            available: driver.ram.userAddress(driver.available),
            used: driver.ram.userAddress(driver.used))
    }

    /// Shows the driver what was given back; true where it wants a call.
    func publish() -> Bool { queue.publish() }
    func requestKicks() -> Bool { queue.requestKicks() }
    func suppressKicks() { queue.suppressKicks() }
    func hasAvailable() -> Bool { queue.hasAvailable() }

    /// What the device takes next: the bytes it may read and write, with the chain given back at
    /// once; nil where there is nothing.
    func takeOne(written: UInt32 = 0) throws(QueueViolation) -> (read: Int, write: Int)? {
        guard let chain = try queue.next(&memory, &buffers) else { return nil }
        queue.complete(chain, written: written)
        return (buffers.readable.byteCount, buffers.writable.byteCount)
    }

    /// What the device takes next, to be given back later.
    func hold() throws(QueueViolation) -> Held? {
        guard let chain = try queue.next(&memory, &buffers) else { return nil }
        return Held(chain, of: self)
    }

    /// Another device's side of the same ring, as after a restart.
    func restart(base: UInt32, inflight: InflightBuffer? = nil) throws {
        queue = try DeviceRing(
            form, map, Self.addresses(driver), size: driver.size, base: base, features,
            inflight: inflight)
    }

    /// Split: makes `head` available as it is, whatever it is, with no book kept.
    func makeAvailable(_ head: UInt16) {
        let index = split.availableIndex()
        split.setAvailable(index, head: head)
        split.setAvailableIndex(index &+ 1)
    }
}

/// A chain in flight, which goes back by itself where a test ends early.
final class Held {
    let head: UInt16
    private let bench: RingBench
    private var chain: Chain?

    init(_ chain: consuming Chain, of bench: RingBench) {
        head = chain.head
        self.bench = bench
        self.chain = consume chain
    }

    func complete(written: UInt32) {
        guard let chain = chain.take() else { return }
        bench.queue.complete(chain, written: written)
    }

    deinit { complete(written: 0) }
}

/// A descriptor's flags by the spec's own numbers (virtio 1.3 §2.7.5).
enum Flag {
    static let next: UInt16 = 1
    static let write: UInt16 = 2
    static let indirect: UInt16 = 4
}
