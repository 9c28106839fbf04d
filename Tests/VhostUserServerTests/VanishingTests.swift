import BlockStores
import Host
import Testing
import VhostUserFrontend
import VirtioBlock
import VirtioSpec

@Suite("A front-end that is gone, or deaf, is in nobody's way")
struct VanishingTests {
    @Test("One that vanishes with requests in flight is followed by one that works")
    func inFlight() throws {
        let store = try HeldStore()
        let backend = try Backend(held: store)
        try {
            let driver = try backend.driver { $0.queues = 4 }
            for queue in 0..<4 {
                for token in 0..<16 as Range<UInt64> {
                    _ = driver.offerRead(queue: queue, token: token)
                }
                driver.queues[queue].submit()
                // Whatever was available is taken before the worker hears of this.
                try driver.connection.setVringEnable(UInt32(queue), 1)
            }
        }()
        // The next one connects, and is served when the store has answered.
        let connection = try backend.connect()
        store.open()
        #expect(connection.isAlive())
        let driver = try BlockDriver(connection, GuestRAM(byteCount: 16 << 20))
        #expect(try driver.works())
        #expect(driver.queues[0].inFlight == 0)
    }

    @Test("So is one that vanishes while a file is written", arguments: [1, 64])
    func inFlightOnFile(rounds: Int) throws {
        let file = try TemporaryFile(byteCount: 8 << 20)
        let backend = try Backend(
            RawLane.self, try RawStore(path: file.path), BlockOptions(byteCount: 8 << 20))
        for _ in 0..<rounds {
            let driver = try backend.driver()
            let stream = BlockStream(driver, queue: 0, slots: 16, bytesPerSlot: 4096)
            for slot in 0..<16 {
                #expect(
                    stream.offer(BlockRequestType.out, sector: UInt64(slot * 8), slot: slot))
            }
            stream.queue.submit()
        }
        #expect(try backend.servesAnother())
    }

    @Test("A worker goes on while its front-end reads no replies, and the next one is served")
    func readsNoReplies() throws {
        let backend = try Backend()
        try {
            let driver = try backend.driver()
            let request = Bytes.of(UInt32(24)) + Bytes.of(UInt32(1)) + Bytes.of(UInt32(268))
            let payload = BadMessage.config(0, [UInt8](repeating: 0, count: 256))
            // Until the replies have filled the socket one way, and the requests the other.
            driver.connection.deadline = 200
            #expect(throws: FrontendError.timedOut) {
                for _ in 0..<100_000 { try driver.connection.sendRaw(request + payload) }
            }
            #expect(try driver.works())
        }()
        #expect(try backend.servesAnother())
    }

    @Test("A front-end that reads no replies for ten seconds is let go")
    func staysDeaf() throws {
        let backend = try Backend()
        let deaf = try backend.negotiated()
        deaf.deadline = 200
        let request = Bytes.of(UInt32(1)) + Bytes.of(UInt32(1)) + Bytes.of(UInt32(0))
        #expect(throws: FrontendError.timedOut) {
            for _ in 0..<1_000_000 { try deaf.sendRaw(request) }
        }
        let next = try backend.connect()
        next.deadline = 20_000
        #expect(next.isAlive())
        #expect(!deaf.isAlive())
    }

    @Test("A front-end that says nothing is served when it does speak")
    func saysNothing() throws {
        let backend = try Backend()
        try { _ = try backend.connect() }()
        let connection = try backend.connect()
        #expect(connection.isAlive())
    }

    @Test(
        "The server ends at once when asked to, whatever its front-end does",
        arguments: [
            true, false,
        ])
    func end(isRunning: Bool) throws {
        let store = try HeldStore()
        let backend = try Backend(held: store)
        let driver = try backend.driver()
        for _ in 0..<(isRunning ? 1 : 0) { _ = driver.offerRead() }
        driver.queues[0].submit()
        let start = Clock.nanoseconds()
        backend.end()
        #expect(Clock.nanoseconds() - start < 2_000_000_000)
        store.open()
        try driver.connection.waitForClose()
    }
}
