import Testing
import VhostUserFrontend
import VirtioSpec

@Suite("A driver's status of 0 stops the rings and forgets the driver")
struct StatusTests {
    private static let running: UInt64 = 0xf

    private func driver(_ backend: Backend, packed: Bool) throws -> BlockDriver {
        let driver = try backend.driver {
            $0.packed = packed
            $0.protocolFeatures = ProtocolFeatures.max
            $0.queues = 2
        }
        try driver.connection.tell(.setStatus, Bytes.of(Self.running))
        return driver
    }

    @Test(
        "Each ring stays where it was, whether or not it is stopped once more",
        arguments: [false, true])
    func bases(packed: Bool) throws {
        let backend = try Backend()
        let driver = try driver(backend, packed: packed)
        for _ in 0..<3 { #expect(try driver.works()) }
        #expect(try driver.works(queue: 1))
        try driver.connection.tell(.setStatus, Bytes.of(UInt64(0)))
        #expect(try driver.connection.ask(.getStatus).number == 0)
        let bases = try (0..<2).map { try driver.connection.vringBase(UInt32($0)) }
        // A packed ring counts descriptors, three of each request.
        #expect(bases.map { $0 & 0x7fff } == (packed ? [18, 6] : [6, 2]))
        try driver.connection.setFeatures(driver.features)
        for queue in 0..<2 {
            try driver.start(queue, base: bases[queue])
            #expect(try driver.works(queue: queue))
        }
    }

    @Test("What is in flight is finished before the answer")
    func inFlight() throws {
        let store = try HeldStore()
        let backend = try Backend(held: store)
        let driver = try backend.driver { $0.protocolFeatures = ProtocolFeatures.max }
        let read = driver.offerRead()
        driver.queues[0].submit()
        // Between this message and the next the worker takes what is available.
        try driver.connection.setVringEnable(0, 1)
        try driver.connection.send(
            VhostUserRequest.setStatus.rawValue, flags: VhostUserHeader.needReply,
            Bytes.of(UInt64(0)))
        #expect(!driver.connection.isClosed)
        #expect(read.status == BlockDriver.untouchedStatus)
        store.open()
        #expect(try driver.connection.receive().number == 0)
        #expect(read.status == 0)
        #expect(try driver.connection.vringBase(0) == 1)
    }

    @Test("A stopped ring takes nothing until it is started again")
    func takesNothing() throws {
        let backend = try Backend()
        let driver = try driver(backend, packed: false)
        try driver.connection.tell(.setStatus, Bytes.of(UInt64(0)))
        _ = driver.offerRead(token: 4)
        driver.queues[0].submit()
        #expect(driver.connection.isAlive())
        #expect(try driver.queues[0].reap() == nil)
        try driver.start(0, base: 0)
        #expect(try driver.finish() == 4)
    }

    @Test("A driver that was only halted has its write cache off still; a reset turns it on")
    func writeCache() throws {
        let backend = try Backend()
        let driver = try driver(backend, packed: false)
        try driver.connection.setConfig(offset: 32, [0])
        try driver.connection.tell(.setStatus, Bytes.of(UInt64(0)))
        #expect(try driver.connection.config(offset: 32, count: 1) == [0])
        try driver.connection.tell(.resetDevice)
        #expect(try driver.connection.config(offset: 32, count: 1) == [1])
    }

    @Test("A network driver's address, filter and pairs go with it")
    func network() throws {
        let backend = try NetBackend(.loopback) { $0.hasControlQueue = true }
        let driver = try backend.driver {
            $0.controlQueue = true
            $0.protocolFeatures = ProtocolFeatures.max
        }
        let own = backend.device.mac
        #expect(try driver.control(1, 1, [2, 1, 1, 1, 1, 1]) == 0)
        #expect(try driver.control(0, 0, [0]) == 0)
        try driver.connection.tell(.setStatus, Bytes.of(UInt64(0)))
        #expect(backend.device.mac == own && backend.device.receivesAll)
        #expect(backend.device.headerBytes == 12)
    }
}
