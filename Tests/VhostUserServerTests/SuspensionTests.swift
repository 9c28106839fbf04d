import Host
import Testing
import VhostUserFrontend
import VirtioSpec

@Suite("A ring whose store hangs is stopped at once, and what hangs is in the inflight buffer")
struct SuspensionTests {
    /// How a front-end says that it will not wait.
    enum Asking: CaseIterable {
        case message, number

        func stop(_ connection: FrontendConnection, _ index: UInt32) throws -> UInt32 {
            let request: VhostUserRequest =
                self == .message ? .getVringBaseSkipDrain : .getVringBase
            let number: UInt32 = self == .message ? 0 : 1
            let answer = try connection.ask(request, BadMessage.pair(index, number))
            #expect(answer.payload.count == 8 && Bytes.u32(answer.payload, at: 0) == index)
            return Bytes.u32(answer.payload, at: 4)
        }
    }

    private func offerReads(_ driver: BlockDriver, _ count: Int = 8) throws -> [OfferedRead] {
        let reads = (0..<count).map { driver.offerRead(sector: 1, token: UInt64($0)) }
        driver.queues[0].submit()
        // Between this message and the next the worker takes what is available.
        try driver.connection.setVringEnable(0, 1)
        return reads
    }

    @Test(
        "The answer comes though the store never does, and the ring goes on where it was",
        arguments: [false, true], Asking.allCases)
    func goesOn(packed: Bool, asking: Asking) throws {
        let store = try HeldStore()
        let backend = try Backend(held: store)
        let driver = try backend.driver {
            $0.packed = packed
            $0.keepsInflight = true
        }
        let reads = try offerReads(driver)
        let base = try asking.stop(driver.connection, 0)
        #expect(packed || base == 8)
        #expect(reads.allSatisfy { $0.status == BlockDriver.untouchedStatus })
        store.open()
        try driver.start(0, base: base)
        #expect(try (0..<8).map { _ in try driver.finish() }.sorted() == Array(0..<8))
        #expect(reads.allSatisfy { $0.status == 0 })
        #expect(store.requests.load(ordering: .relaxed) == 16)
        #expect(driver.queues[0].inFlight == 0)
        #expect(try driver.works())
    }

    @Test(
        "What can't be cancelled is not begun again before it has ended", arguments: [false, true])
    func waitsForWhatLingers(packed: Bool) throws {
        let store = try HeldStore(isStubborn: true)
        let backend = try Backend(held: store)
        let driver = try backend.driver {
            $0.packed = packed
            $0.keepsInflight = true
            $0.queues = 2
        }
        let reads = try offerReads(driver)
        for _ in 0..<2 {
            // The second time there is nothing new to suspend, and the answer is the same.
            let base = try Asking.message.stop(driver.connection, 0)
            #expect(packed || base == 8)
            try driver.start(0, base: base)
            try driver.connection.setVringEnable(0, 1)
        }
        #expect(store.requests.load(ordering: .relaxed) == 8)
        #expect(reads.allSatisfy { $0.status == BlockDriver.untouchedStatus })
        store.open()
        #expect(try (0..<8).map { _ in try driver.finish() }.sorted() == Array(0..<8))
        #expect(store.requests.load(ordering: .relaxed) == 16)
        #expect(try driver.works() && driver.works(queue: 1))
    }

    @Test("Another back-end does what hangs in the first", arguments: [false, true])
    func handOver(packed: Bool) throws {
        let store = try HeldStore(isStubborn: true)
        let backend = try Backend(held: store)
        let next = try Backend()
        let driver = try backend.driver {
            $0.packed = packed
            $0.keepsInflight = true
            $0.features.remove(.inOrder)
        }
        let reads = try offerReads(driver)
        _ = try Asking.message.stop(driver.connection, 0)
        // The base is an old one, as after a crash.
        try driver.reconnect(next.connect())
        #expect(try (0..<8).map { _ in try driver.finish() }.sorted() == Array(0..<8))
        #expect(reads.allSatisfy { $0.status == 0 })
        #expect(try driver.works())
        store.open()
    }

    @Test(
        "Without an inflight buffer, or without the feature, the ring is drained",
        arguments: [true, false])
    func drains(keepsInflight: Bool) throws {
        let store = try HeldStore()
        let backend = try Backend(held: store)
        let driver = try backend.driver {
            $0.keepsInflight = keepsInflight
            if keepsInflight { $0.protocolFeatures?.remove(.getVringBaseInflight) }
        }
        let reads = try offerReads(driver)
        try driver.connection.send(VhostUserRequest.getVringBase.rawValue, BadMessage.pair(0, 1))
        driver.connection.deadline = 100
        #expect(throws: FrontendError.timedOut) { try driver.connection.receive() }
        store.open()
        driver.connection.deadline = 10_000
        #expect(try driver.connection.receive().payload == BadMessage.pair(0, 8))
        #expect(reads.allSatisfy { $0.status == 0 })
    }

    @Test("What the store gives back in time is not left", arguments: [false, true])
    func finishes(packed: Bool) throws {
        let backend = try Backend()
        let driver = try backend.driver {
            $0.packed = packed
            $0.keepsInflight = true
        }
        let reads = try offerReads(driver)
        let base = try Asking.message.stop(driver.connection, 0)
        #expect(reads.allSatisfy { $0.status == 0 })
        #expect(try (0..<8).map { _ in try driver.finish() }.sorted() == Array(0..<8))
        try driver.start(0, base: base)
        #expect(try driver.works())
    }
}
