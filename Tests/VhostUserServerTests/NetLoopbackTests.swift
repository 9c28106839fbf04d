import Randomness
import Testing
import VhostUserFrontend
import VhostUserServer
import VirtioSpec

@Suite("A looped back packet comes as it went, or not at all")
struct NetLoopbackTests {
    @Test("Packets of any size, cut anywhere, come back equal", arguments: NetShape.all)
    func equal(shape: NetShape) throws {
        var random = Seeded()
        let backend = try NetBackend(.loopback)
        let driver = try backend.driver(shape.set)
        for _ in 0..<60 {
            let packet = random.bytes(Int.random(in: 14...9000, using: &random))
            let whole = driver.headerBytes + packet.count
            var cuts: [Int] = []
            for _ in 0..<Int.random(in: 0...6, using: &random) {
                cuts.append(Int.random(in: 1...whole, using: &random))
            }
            if driver.isMergeable {
                let bytes = Int.random(in: 80...4096, using: &random)
                let chains = (whole + bytes - 1) / bytes
                guard chains <= 200 else { continue }
                try driver.offerBuffers(chains, bytes: bytes)
            } else {
                let first = Int.random(in: 1...whole, using: &random)
                try driver.offerBuffers(1, cuts: [first, whole - first + 1])
            }
            try driver.send(packet, cuts: cuts)
            let received = try driver.receive()
            #expect(received.packet == packet, "seed \(random.seed)")
            #expect(received.header.flags == 0 && received.header.segmentation == 0)
            try driver.waitForSent()
        }
    }

    @Test(
        "A port that copies takes packets of any size, cut anywhere, and gives none",
        arguments: NetShape.all)
    func copied(shape: NetShape) throws {
        var random = Seeded()
        let backend = try NetBackend(.copy)
        let driver = try backend.driver(shape.set)
        try driver.offerBuffers(1)
        // The largest of all, and more together than the memory that they are copied to.
        for size in [65_550, 14, 65_550]
            + (0..<40).map({ _ in
                Int.random(in: 14...9000, using: &random)
            })
        {
            let whole = driver.headerBytes + size
            let cuts = (0..<3).map { _ in Int.random(in: 1...whole, using: &random) }
            try driver.send(random.bytes(size), cuts: cuts)
            try driver.waitForSent()
        }
        #expect(try driver.receiveQueue().reap() == nil, "seed \(random.seed)")
    }

    @Test(
        "A packet that finds too few buffers is dropped whole, and the buffers serve the next",
        arguments: [false, true])
    func tooFewBuffers(packed: Bool) throws {
        var random = Seeded()
        let backend = try NetBackend(.loopback)
        let driver = try backend.driver { $0.packed = packed }
        try driver.offerBuffers(2, bytes: 100)
        try driver.send(random.bytes(400))
        try driver.waitForSent()
        try driver.offerBuffers(3, bytes: 100)
        let packet = random.bytes(450)
        try driver.send(packet)
        let received = try driver.receive()
        #expect(received.packet == packet, "seed \(random.seed)")
        #expect(received.header.bufferCount == 5)
    }

    @Test("A packet longer than a driver's whole buffer is dropped", arguments: [false, true])
    func tooLong(packed: Bool) throws {
        var random = Seeded()
        let backend = try NetBackend(.loopback)
        let driver = try backend.driver {
            $0.packed = packed
            $0.mergeable = false
        }
        try driver.offerBuffers(1, bytes: 200)
        try driver.send(random.bytes(189))
        try driver.waitForSent()
        let packet = random.bytes(188)
        try driver.send(packet)
        #expect(try driver.receive().packet == packet)
    }

    @Test("Without any buffer packets are dropped and their chains come back")
    func noBuffers() throws {
        let backend = try NetBackend(.loopback)
        let driver = try backend.driver()
        for _ in 0..<100 { try driver.send([UInt8](repeating: 1, count: 60)) }
        try driver.waitForSent()
    }

    @Test("What a guest sends on a disabled queue is dropped; to a disabled one nothing comes")
    func disabled() throws {
        let backend = try NetBackend(.loopback)
        let driver = try backend.driver()
        try driver.offerBuffers(2)
        try driver.connection.setVringEnable(1, 0)
        try driver.send([UInt8](repeating: 2, count: 60))
        try driver.waitForSent()
        try driver.connection.setVringEnable(1, 1)
        try driver.connection.setVringEnable(0, 0)
        try driver.send([UInt8](repeating: 3, count: 60))
        try driver.waitForSent()
        try driver.connection.setVringEnable(0, 1)
        let packet = [UInt8](repeating: 4, count: 60)
        try driver.send(packet)
        #expect(try driver.receive().packet == packet)
    }

    @Test("Each pair has its own way back, on however many workers", arguments: [1, 2, 3])
    func pairs(workers: Int) throws {
        let backend = try NetBackend(.loopback, workers: WorkerOptions(count: workers)) {
            $0.pairs = 5
        }
        let driver = try backend.driver { $0.pairs = 5 }
        #expect(try driver.connection.queueCount() == 5)
        for pair in 0..<5 { try driver.offerBuffers(1, pair: pair) }
        for pair in 0..<5 {
            try driver.send([UInt8](repeating: UInt8(pair), count: 100), pair: pair)
        }
        for pair in 0..<5 {
            #expect(try driver.receive(pair: pair).packet.allSatisfy { $0 == UInt8(pair) })
        }
    }

    @Test("The header is 12 bytes, or 10 for a legacy driver without mergeable buffers")
    func legacyHeader() throws {
        let backend = try NetBackend(.loopback)
        let driver = try backend.driver {
            $0.legacy = true
            $0.mergeable = false
        }
        #expect(driver.headerBytes == 10)
        try driver.offerBuffers(1)
        try driver.send([UInt8](repeating: 9, count: 77))
        #expect(try driver.receive().written == 87)
    }

    @Test("The front-end's MTU is taken up to what the operator allows")
    func mtu() throws {
        let backend = try NetBackend(.loopback) { $0.mtu = 9000 }
        let driver = try backend.driver()
        try driver.connection.setMTU(1500)
        #expect(backend.device.mtu == 1500)
        for mtu: UInt64 in [9001, 67, 65_536 + 1500] {
            #expect(throws: FrontendError.self) { try driver.connection.setMTU(mtu) }
        }
        #expect(backend.device.mtu == 1500)
    }
}
