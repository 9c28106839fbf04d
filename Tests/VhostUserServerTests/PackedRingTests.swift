import Host
import Testing
import VhostUserFrontend
import VirtioBlock
import VirtioSpec

@Suite("A packed ring is started, stopped and started again where it was")
struct PackedRingTests {
    /// Both positions of a ring of 8 at which nothing is in flight, as GET_VRING_BASE says it.
    private static func base(_ index: UInt32, wrap: Bool) -> UInt32 {
        let half = index | (wrap ? 1 << 15 : 0)
        return half | half << 16
    }

    @Test("Its base tells both positions and wrap counters, on the first round and the next")
    func base() throws {
        let backend = try Backend()
        let driver = try backend.driver {
            $0.packed = true
            $0.queueSize = 8
        }
        // A read takes three descriptors: header, data, status.
        var done: UInt32 = 0
        for expected in [(3, true), (6, true), (1, false), (4, false), (7, false), (2, true)]
            as [(UInt32, Bool)]
        {
            #expect(try driver.read(sector: 0, count: 512).status == 0)
            done += 3
            let base = try driver.connection.vringBase(0)
            #expect(base == Self.base(expected.0, wrap: expected.1), "after \(done)")
            try driver.start(0, base: base)
        }
    }

    @Test(
        "It starts wherever it is told, whatever its size",
        arguments: [(0, 7), (1, 7), (6, 7), (0, 8), (7, 8), (998, 999)] as [(UInt32, UInt16)],
        [true, false])
    func start(place: (index: UInt32, size: UInt16), wrap: Bool) throws {
        let (index, size) = place
        let backend = try Backend()
        let driver = try backend.driver {
            $0.packed = true
            $0.queueSize = size
            $0.start = Self.base(index, wrap: wrap)
        }
        for _ in 0..<20 { #expect(try driver.read(sector: 0, count: 512).status == 0) }
    }

    @Test("The available half alone is taken for both, as front-ends send it that know no other")
    func halfBase() throws {
        let backend = try Backend()
        let driver = try backend.driver {
            $0.packed = true
            $0.queueSize = 8
        }
        #expect(try driver.works())
        let base = try driver.connection.vringBase(0)
        try driver.start(0, base: base & 0xffff)
        #expect(try driver.works())
    }

    @Test("A base past the ring is refused when the ring starts", arguments: [0, 16] as [UInt32])
    func badBase(shift: UInt32) throws {
        let backend = try Backend()
        let driver = try backend.driver {
            $0.packed = true
            $0.queueSize = 8
        }
        _ = try driver.connection.vringBase(0)
        let good = Self.base(1, wrap: true)
        let bad = good & ~(0x7fff << shift) | 8 << shift
        #expect(throws: FrontendError.refused(VhostUserRequest.setVringKick.rawValue, 1)) {
            try driver.start(0, base: bad)
        }
        #expect(driver.connection.isAlive())
    }

    @Test("A ring that never started answers with a fresh ring's base")
    func neverStarted() throws {
        let backend = try Backend()
        let driver = try backend.driver { $0.packed = true }
        #expect(try driver.connection.vringBase(1) == Self.base(0, wrap: true))
    }

    @Test("One ring is reset while the others go on", arguments: [true, false])
    func reset(packed: Bool) throws {
        let backend = try Backend()
        var options = BlockDriver.Options()
        options.queues = 2
        options.packed = packed
        let ram = try GuestRAM(byteCount: 32 << 20)
        let driver = try BlockDriver(backend.connect(), ram, options)
        #expect(driver.features.contains(.ringReset))
        #expect(try driver.works(queue: 0) && driver.works(queue: 1))
        // As QEMU does it: stopped, and then started like new, on a ring that is zero again.
        _ = try driver.connection.vringBase(1)
        try driver.renew(1)
        for _ in 0..<300 {
            #expect(try driver.works(queue: 0) && driver.works(queue: 1))
        }
    }
}
