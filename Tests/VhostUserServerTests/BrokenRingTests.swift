import Host
import Testing
import VhostUserFrontend
import VirtioSpec

@Suite("A driver that breaks its ring loses that ring until it is started again")
struct BrokenRingTests {
    /// What a driver can do wrong, to a queue of 16 entries that nothing was offered on.
    enum Fault: CaseIterable, Sendable {
        case head, jump, loop, next, hole, order, table, nested, tableAndNext, tableLength
    }

    private func commit(_ fault: Fault, _ queue: SplitDriverQueue) {
        let page = queue.ram.allocate(4096, alignment: 4096)
        func set(_ index: UInt16, _ address: UInt64, _ length: UInt32, _ flags: UInt16) {
            queue.setDescriptor(
                index, Descriptor(address: address, length: length, flags: flags, next: index + 1))
        }
        queue.setAvailable(0, head: 0)
        switch fault {
        case .head: queue.setAvailable(0, head: 16)
        case .jump: return queue.setAvailableIndex(17)
        case .loop: queue.setDescriptor(0, Descriptor(address: page, length: 1, flags: 1))
        case .next:
            queue.setDescriptor(0, Descriptor(address: page, length: 1, flags: 1, next: 16))
        case .hole: set(0, 1 << 40, 16, 0)
        case .order:
            set(0, page, 16, 3)
            set(1, page, 16, 0)
        case .table: set(0, 1 << 40, 32, 4)
        case .nested:
            set(0, page, 16, 4)
            queue.writeDescriptor(Descriptor(address: page, length: 16, flags: 4), at: page)
        case .tableAndNext: set(0, page, 16, 5)
        case .tableLength: set(0, page, 17, 4)
        }
        queue.setAvailableIndex(1)
    }

    @Test(
        "Its error is signalled once, other rings go on, and it can be repaired",
        arguments: Fault.allCases)
    func latches(fault: Fault) throws {
        let backend = try Backend()
        let driver = try backend.driver {
            $0.queues = 2
            $0.queueSize = 16
        }
        let queue = driver.splitQueues[0]
        commit(fault, queue)
        queue.kick.signal()
        #expect(queue.waitForError())
        for _ in 0..<3 {
            queue.kick.signal()
            #expect(try driver.works(queue: 1))
            try driver.connection.setVringEnable(0, 1)
        }
        #expect(!queue.takeError())
        #expect(queue.usedIndex() == 0)
        #expect(try driver.connection.vringBase(0) == 0)
        queue.setAvailableIndex(0)
        try driver.start(0, base: 0)
        #expect(try driver.works(queue: 0) && driver.works(queue: 1))
    }

    @Test("What was in flight when the ring broke is still given back")
    func inFlightIsFinished() throws {
        let backend = try Backend()
        let driver = try backend.driver { $0.queueSize = 16 }
        let queue = driver.splitQueues[0]
        let reads = (0..<3).map { driver.offerRead(token: UInt64($0)) }
        queue.setAvailable(3, head: 99)
        queue.setAvailableIndex(4)
        queue.kick.signal()
        #expect(queue.waitForError())
        for _ in 0..<3 { try driver.finish() }
        #expect(reads.allSatisfy { $0.status == 0 })
        #expect(try driver.connection.vringBase(0) == 3)
    }

    @Test("A chain made available again while it is in flight breaks the ring")
    func headInFlight() throws {
        let store = try HeldStore()
        let backend = try Backend(held: store)
        let driver = try backend.driver { $0.queueSize = 16 }
        let queue = driver.splitQueues[0]
        let read = driver.offerRead()
        queue.submit()
        try driver.connection.setVringEnable(0, 1)
        queue.setAvailable(1, head: queue.availableHead(0))
        queue.setAvailableIndex(2)
        queue.kick.signal()
        #expect(queue.waitForError())
        store.open()
        try driver.finish()
        #expect(read.status == 0)
        #expect(try driver.connection.vringBase(0) == 1)
    }

    @Test("A ring that broke does not outlive its session")
    func nextSession() throws {
        let backend = try Backend()
        try {
            let driver = try backend.driver { $0.queueSize = 16 }
            commit(.jump, driver.splitQueues[0])
            driver.queues[0].kick.signal()
            #expect(driver.queues[0].waitForError())
        }()
        #expect(try backend.servesAnother())
    }

    @Test("A broken ring without an error descriptor is broken all the same")
    func noErrorDescriptor() throws {
        let backend = try Backend()
        let driver = try backend.driver { $0.queueSize = 16 }
        try driver.connection.setVringFD(.setVringError, 0, nil)
        commit(.head, driver.splitQueues[0])
        driver.queues[0].kick.signal()
        try driver.connection.setVringEnable(0, 1)
        #expect(try driver.connection.vringBase(0) == 0)
        #expect(!driver.queues[0].takeError())
    }
}
