import Host
import Testing
import VhostUserFrontend
import VirtioSpec

@Suite("GET_VRING_BASE stops one ring where it is, and it can go on from there")
struct RingStopTests {
    @Test("The base is the next available index, and asking again changes nothing")
    func base() throws {
        let backend = try Backend()
        let driver = try backend.driver()
        for _ in 0..<3 { #expect(try driver.works()) }
        for _ in 0..<3 { #expect(try driver.connection.vringBase(0) == 6) }
        try driver.start(0, base: 6)
        #expect(try driver.works())
        #expect(try driver.connection.vringBase(0) == 8)
    }

    @Test(
        "A ring that never started answers what SET_VRING_BASE said",
        arguments: [
            0, 1, 255, 0x8000, 0xffff,
        ] as [UInt32])
    func neverStarted(base: UInt32) throws {
        let backend = try Backend()
        let connection = try backend.negotiated()
        try connection.setVringBase(2, base)
        #expect(try connection.vringBase(2) == base)
        #expect(try connection.vringBase(2) == base)
        #expect(try connection.vringBase(1) == 0)
    }

    @Test("Exactly one ring stops, the others go on")
    func oneOfTwo() throws {
        let backend = try Backend()
        let driver = try backend.driver { $0.queues = 3 }
        #expect(try driver.works(queue: 1))
        #expect(try driver.connection.vringBase(1) == 2)
        #expect(try driver.works(queue: 0) && driver.works(queue: 2))
        _ = driver.offerRead(queue: 1, token: 9)
        driver.queues[1].submit()
        driver.queues[1].kick.signal()
        #expect(try driver.works(queue: 0) && driver.works(queue: 2))
        #expect(driver.splitQueues[1].usedIndex() == 2)
        try driver.start(1, base: 2)
        #expect(try driver.finish(queue: 1) == 9)
        #expect(try driver.works(queue: 1))
    }

    @Test("A stopped ring has let its kick and call go", arguments: [true, false])
    func descriptorsAreClosed(hasRun: Bool) throws {
        let backend = try Backend()
        let connection = try backend.negotiated()
        let ram = try GuestRAM(byteCount: 1 << 20)
        let queue = try SplitDriverQueue(ram, size: 4)
        try connection.describe(0, queue)
        for _ in 0..<(hasRun ? 1 : 0) { try connection.setMemoryTable(ram) }
        let requests: [VhostUserRequest] = [.setVringCall, .setVringKick]
        let pairs = try requests.map { request in
            let pair = Watched()
            try pair.give { try connection.setVringFD(request, 0, $0) }
            return pair
        }
        #expect(pairs.allSatisfy { !$0.isLetGo })
        _ = try connection.vringBase(0)
        #expect(pairs.allSatisfy { $0.isLetGo })
    }

    @Test("What was taken is finished before the base is answered")
    func drains() throws {
        let store = try HeldStore()
        let backend = try Backend(held: store)
        let driver = try backend.driver()
        let reads = (0..<8).map { driver.offerRead(token: UInt64($0)) }
        driver.queues[0].submit()
        // Between this message and the next the worker takes what is available.
        try driver.connection.setVringEnable(0, 1)
        try driver.connection.send(VhostUserRequest.getVringBase.rawValue, BadMessage.pair(0, 0))
        driver.connection.deadline = 100
        #expect(throws: FrontendError.timedOut) { try driver.connection.receive() }
        #expect(reads.allSatisfy { $0.status == BlockDriver.untouchedStatus })
        store.open()
        driver.connection.deadline = 10_000
        let answer = try driver.connection.receive()
        #expect(answer.request == 11 && answer.payload == BadMessage.pair(0, 8))
        #expect(reads.allSatisfy { $0.status == 0 })
        #expect(driver.splitQueues[0].usedIndex() == 8)
        try driver.start(0, base: 8)
        #expect(try (0..<8).map { _ in try driver.finish() }.sorted() == Array(0..<8))
        #expect(driver.queues[0].inFlight == 0)
        #expect(try driver.works())
    }

    @Test("The used index goes on where memory has it, not where the base is")
    func usedIndexIsMemorys() throws {
        let backend = try Backend()
        let driver = try backend.driver()
        _ = try driver.stop()
        let queue = try SplitDriverQueue(driver.ram, size: 8, start: 5)
        queue.setUsedIndex(3)
        let head = try #require(
            queue.offer(
                [.readable(driver.ram.allocate(16), 16), .writable(driver.ram.allocate(1), 1)],
                token: 0))
        queue.publish()
        try driver.connection.describe(1, queue)
        try driver.connection.setVringBase(1, 5)
        try driver.connection.setVringEnable(1, 1)
        try driver.connection.setVringFD(.setVringKick, 1, queue.kick.descriptor.raw)
        #expect(try driver.connection.vringBase(1) == 6)
        #expect(queue.usedIndex() == 4)
        #expect(queue.usedEntry(3).id == UInt32(head))
    }

    @Test("A stopped ring takes another size, other addresses and another base")
    func otherRing() throws {
        let backend = try Backend()
        let driver = try backend.driver()
        #expect(try driver.works())
        _ = try driver.stop()
        let queue = try SplitDriverQueue(driver.ram, size: 2, start: 77)
        _ = queue.offer(
            [.readable(driver.ram.allocate(16), 16), .writable(driver.ram.allocate(1), 1)],
            token: 3)
        queue.publish()
        try driver.connection.describe(0, queue)
        try driver.connection.setVringBase(0, 77)
        try driver.connection.setVringFD(.setVringCall, 0, queue.call.descriptor.raw)
        try driver.connection.setVringFD(.setVringKick, 0, queue.kick.descriptor.raw)
        try queue.waitForUsed(milliseconds: 10_000)
        #expect(try queue.reap()?.token == 3)
        #expect(try driver.connection.vringBase(0) == 78)
    }

    @Test("The same addresses again are no change to a running ring")
    func sameAddresses() throws {
        let backend = try Backend()
        let driver = try backend.driver()
        #expect(try driver.works())
        try driver.connection.setAddresses(0, driver.queues[0])
        #expect(try driver.works())
        #expect(try driver.connection.vringBase(0) == 4)
    }

    @Test("The same features again are no change to running rings, bit 30 aside")
    func sameFeatures() throws {
        let backend = try Backend()
        let driver = try backend.driver()
        try driver.connection.setFeatures(driver.features)
        #expect(try driver.works())
        try driver.connection.setFeatures(driver.features.subtracting(.protocolFeatures))
        #expect(try driver.works())
    }

    @Test("RESET_DEVICE stops and disables every ring, and keeps memory and negotiation")
    func resetDevice() throws {
        let backend = try Backend()
        let driver = try backend.driver { $0.queues = 2 }
        #expect(try driver.works(queue: 0) && driver.works(queue: 1))
        try driver.connection.tell(.resetDevice)
        let reads = [driver.offerRead(queue: 0), driver.offerRead(queue: 1)]
        for queue in driver.queues {
            queue.submit()
            queue.kick.signal()
        }
        #expect(try driver.connection.vringBase(0) == 2)
        #expect(try driver.connection.vringBase(1) == 2)
        try driver.connection.setFeatures(driver.features)
        try driver.connection.setVringFD(
            .setVringKick, 0, driver.queues[0].kick.descriptor.raw)
        #expect(reads.allSatisfy { $0.status == BlockDriver.untouchedStatus })
        #expect(try driver.connection.vringBase(0) == 2)
        try driver.start(0, base: 2)
        try driver.start(1, base: 2)
        try driver.finish(queue: 0)
        try driver.finish(queue: 1)
        #expect(try driver.works(queue: 0) && driver.works(queue: 1))
    }
}
