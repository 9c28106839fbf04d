import Host
import Testing
import VhostUserFrontend
import VirtioSpec

@Suite("A ring runs from SET_VRING_KICK on, as far as it is enabled and there is memory")
struct RingStartTests {
    /// Everything about one session, message by message: a driver that has negotiated and owns
    /// memory and a queue, and has told the back-end of neither.
    private struct Bench {
        let backend: Backend
        let connection: FrontendConnection
        let ram: GuestRAM
        let queue: SplitDriverQueue
        private let place: UInt64

        init(_ features: ProtocolFeatures? = .max) throws {
            backend = try Backend()
            connection = try backend.connect()
            var accepted = try connection.featuresOfSplitRings()
            if let features {
                try connection.setProtocolFeatures(
                    connection.protocolFeaturesOffered().intersection(features))
            } else {
                accepted.remove(.protocolFeatures)
            }
            try connection.setFeatures(accepted)
            ram = try GuestRAM(byteCount: 4 << 20)
            queue = try SplitDriverQueue(ram, size: 8)
            place = ram.allocate(1024)
            ram.write(Bytes.of(BlockRequestType.in) + [UInt8](repeating: 0, count: 12), at: place)
        }

        /// Makes a read available without a kick.
        func offer(token: UInt64 = 1) {
            ram.write([BlockDriver.untouchedStatus], at: place + 600)
            _ = queue.offer(
                [.readable(place, 16), .writable(place + 16, 512), .writable(place + 600, 1)],
                token: token)
            queue.publish()
        }

        func kick(_ index: UInt32 = 0) throws {
            try connection.setVringFD(.setVringKick, index, queue.kick.descriptor.raw)
        }

        func call(_ index: UInt32 = 0) throws {
            try connection.setVringFD(.setVringCall, index, queue.call.descriptor.raw)
        }

        /// The token of the next finished chain, waited for.
        func finish() throws -> UInt64 {
            try queue.waitForUsed(milliseconds: 10_000)
            return try #require(try queue.reap()).token
        }

        /// The base of a ring that took nothing; asking is also waiting for its worker.
        func base(_ index: UInt32 = 0) throws -> UInt32 { try connection.vringBase(index) }
    }

    @Test("What is available already is served without any kick")
    func noKick() throws {
        let bench = try Bench()
        try bench.connection.setMemoryTable(bench.ram)
        try bench.connection.describe(0, bench.queue)
        try bench.call()
        bench.offer()
        try bench.connection.setVringEnable(0, 1)
        try bench.kick()
        #expect(try bench.finish() == 1)
    }

    @Test("A started ring takes nothing until it is enabled, and then at once")
    func disabled() throws {
        let bench = try Bench()
        try bench.connection.setMemoryTable(bench.ram)
        try bench.connection.describe(0, bench.queue)
        try bench.call()
        bench.offer()
        try bench.kick()
        bench.queue.kick.signal()
        // Each message to a running ring is answered by its worker, between two turns.
        for _ in 0..<20 { try bench.connection.setVringEnable(0, 0) }
        #expect(bench.queue.usedIndex() == 0)
        try bench.connection.setVringEnable(0, 1)
        #expect(try bench.finish() == 1)
    }

    @Test("A ring that is disabled again takes nothing more, and loses nothing")
    func disabledAgain() throws {
        let bench = try Bench()
        try bench.connection.setMemoryTable(bench.ram)
        try bench.connection.describe(0, bench.queue)
        try bench.call()
        try bench.connection.setVringEnable(0, 1)
        try bench.kick()
        bench.offer(token: 1)
        bench.queue.kick.signal()
        #expect(try bench.finish() == 1)
        try bench.connection.setVringEnable(0, 0)
        bench.offer(token: 2)
        bench.queue.kick.signal()
        for _ in 0..<20 { try bench.connection.setVringEnable(0, 0) }
        #expect(bench.queue.usedIndex() == 1)
        #expect(try bench.base() == 1)
        try bench.connection.setVringBase(0, 1)
        try bench.call()
        try bench.kick()
        try bench.connection.setVringEnable(0, 1)
        #expect(try bench.finish() == 2)
    }

    @Test("SET_FEATURES without bit 30 enables every ring")
    func legacyEnables() throws {
        let bench = try Bench(nil)
        try bench.connection.setMemoryTable(bench.ram)
        try bench.connection.describe(3, bench.queue)
        try bench.call(3)
        bench.offer()
        try bench.kick(3)
        #expect(try bench.finish() == 1)
    }

    @Test("Bit 30 withheld enables even where protocol features were negotiated")
    func protocolFeaturesWithoutBit30() throws {
        let bench = try Bench()
        var features = try bench.connection.featuresOfSplitRings()
        features.remove(.protocolFeatures)
        try bench.connection.setFeatures(features)
        try bench.connection.setMemoryTable(bench.ram)
        try bench.connection.describe(0, bench.queue)
        try bench.call()
        bench.offer()
        try bench.kick()
        #expect(try bench.finish() == 1)
    }

    @Test(
        "A ring that is kicked before there is memory starts when memory comes",
        arguments: [
            true, false,
        ])
    func kickBeforeMemory(bySlots: Bool) throws {
        let bench = try Bench()
        try bench.call()
        try bench.kick()
        try bench.connection.setVringEnable(0, 1)
        try bench.connection.describe(0, bench.queue)
        bench.offer()
        #expect(bench.queue.usedIndex() == 0)
        let region = bench.ram.regions[0]
        let file = region.memory.descriptor.raw
        _ =
            bySlots
            ? try bench.connection.addRegion(region.description, descriptor: file)
            : try bench.connection.setMemoryTable([region.description], descriptors: [file])
        #expect(try bench.finish() == 1)
    }

    @Test("A ring may be enabled before anything else is said of it, as SPDK does")
    func spdkOrder() throws {
        let backend = try Backend()
        let ram = try GuestRAM(byteCount: 4 << 20)
        let connection = try backend.connect()
        try connection.setFeatures(try connection.featuresOfSplitRings())
        try connection.setProtocolFeatures(try connection.protocolFeaturesOffered())
        try connection.setVringEnable(0, 1)
        let queue = try SplitDriverQueue(ram, size: 4)
        _ = queue.offer([.readable(ram.allocate(16), 16), .writable(ram.allocate(1), 1)], token: 5)
        queue.publish()
        try connection.setMemoryTable(ram)
        try connection.setVringFD(.setVringCall, 0, queue.call.descriptor.raw)
        try connection.describe(0, queue)
        try connection.setVringFD(.setVringKick, 0, queue.kick.descriptor.raw)
        try queue.waitForUsed(milliseconds: 10_000)
        #expect(try queue.reap()?.token == 5)
    }

    @Test("Rings that are enabled and never used do no harm")
    func moreEnabledThanUsed() throws {
        let backend = try Backend()
        let driver = try backend.driver()
        for ring in 0..<4 as Range<UInt32> { try driver.connection.setVringEnable(ring, 1) }
        #expect(try driver.works())
        #expect(try driver.connection.vringBase(3) == 0)
        #expect(try driver.works())
    }

    @Test(
        "A ring starts anywhere in the free-running indices",
        arguments: [
            1, 255, 0x7fff, 0xfff0, 0xffff,
        ] as [UInt16])
    func anyStart(start: UInt16) throws {
        let backend = try Backend()
        let driver = try backend.driver {
            $0.start = UInt32(start)
            $0.queueSize = 16
        }
        for _ in 0..<20 { #expect(try driver.works()) }
        #expect(try driver.stop() == [UInt32(start &+ 40)])
    }

    @Test(
        "A ring outside memory, across its border, or misaligned is refused when kicked",
        arguments: [
            (0, 0, 1 << 40), (1 << 40, 0, 0), (0, 1 << 40, 0), (8, 0, 0), (0, 2, 0), (0, 0, 1),
            (0x3f_0000, 0, 0), (0, 0x3f_0000, 0), (0, 0, 0x3f_0000),
            (UInt64.max - 0x7000_0000_0000, 0, 0),
        ] as [(UInt64, UInt64, UInt64)])
    func misplaced(shift: (descriptors: UInt64, used: UInt64, available: UInt64)) throws {
        let bench = try Bench()
        try bench.connection.setMemoryTable(bench.ram)
        try bench.connection.setVringNum(0, 1024)
        let base = bench.ram.userAddress(0)
        // Each part ends where a ring of 1024 entries would, or leaves the memory of 4 MiB.
        try bench.connection.setVringAddress(
            0, descriptors: base &+ shift.descriptors &+ 0xf000,
            used: base &+ shift.used &+ 0xf000, available: base &+ shift.available &+ 0xf800)
        #expect(throws: FrontendError.refused(12, 1)) { try bench.kick() }
        try bench.connection.describe(0, bench.queue)
        try bench.connection.setVringEnable(0, 1)
        try bench.call()
        try bench.kick()
        bench.offer()
        bench.queue.kick.signal()
        #expect(try bench.finish() == 1)
    }

    @Test("A ring whose parts end with their region's last byte runs")
    func lastByte() throws {
        let bench = try Bench()
        try bench.connection.setMemoryTable(bench.ram)
        let base = bench.ram.userAddress(0)
        try bench.connection.setVringNum(0, 1)
        try bench.connection.setVringAddress(
            0, descriptors: base + (4 << 20) - 16, used: base + (4 << 20) - 16,
            available: base + (4 << 20) - 8)
        #expect(throws: Never.self) { try bench.kick() }
        #expect(try bench.base() == 0)
    }
}
