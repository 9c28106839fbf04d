import Host
import Testing
import VhostUserFrontend
import VhostUserServer
import VirtioSpec

import struct Foundation.Data
import class Foundation.FileHandle
import class Foundation.Pipe

@Suite("Kicks and calls go by the descriptors that came last, whatever they are")
struct NotificationTests {
    @Test("A new kick takes the place of the old one while the ring runs")
    func newKick() throws {
        let backend = try Backend()
        let driver = try backend.driver()
        #expect(try driver.works())
        let kick = try Event()
        try driver.connection.setVringFD(.setVringKick, 0, kick.raw)
        let queue = driver.splitQueues[0]
        for token in 1...5 as ClosedRange<UInt64> {
            _ = driver.offerRead(token: token)
            driver.queues[0].publish()
            kick.signal()
            #expect(try driver.finish() == token)
        }
        queue.kick.signal()
        for token in 1...5 as ClosedRange<UInt64> {
            _ = driver.offerRead(token: token)
            driver.queues[0].publish()
            kick.signal()
            #expect(try driver.finish() == token)
        }
        // Nobody has read it.
        #expect(queue.takeKick())
        #expect(try driver.connection.vringBase(0) == 12)
    }

    @Test("A new call is signalled once for what may have been missed, then for what comes")
    func newCall() throws {
        let backend = try Backend()
        let driver = try backend.driver()
        #expect(try driver.works())
        _ = driver.queues[0].takeCall()
        let call = try Event()
        try driver.connection.setVringFD(.setVringCall, 0, call.raw)
        #expect(call.take())
        #expect(!call.take())
        for _ in 0..<3 {
            _ = driver.offerRead()
            driver.queues[0].submit()
            #expect(driver.queues[0].armCall() || call.wait())
            #expect(try driver.queues[0].reap() != nil)
        }
        #expect(!driver.queues[0].takeCall())
    }

    @Test("A ring that starts signals its call, so that a driver looks after a gap")
    func callAtStart() throws {
        let backend = try Backend()
        let driver = try backend.driver()
        #expect(driver.queues[0].waitForCall())
        _ = try driver.stop()
        driver.queues[0].call.drain()
        try driver.start(0, base: 0)
        #expect(driver.queues[0].takeCall())
    }

    @Test("Without a call the driver finds what is done by looking")
    func noCall() throws {
        let backend = try Backend()
        let driver = try backend.driver()
        driver.queues[0].call.drain()
        try driver.connection.setVringFD(.setVringCall, 0, nil)
        driver.queues[0].call.drain()
        let read = driver.offerRead(token: 4)
        driver.queues[0].submit()
        #expect(soon { driver.splitQueues[0].usedIndex() == 1 })
        #expect(read.status == 0)
        #expect(!driver.queues[0].takeCall())
    }

    @Test("Without a kick the device finds what is available by looking", arguments: [true, false])
    func noKick(isRunning: Bool) throws {
        let backend = try Backend()
        let driver = try backend.driver()
        driver.deadline = 3000
        _ = try (0..<(isRunning ? 0 : 1)).map { _ in try driver.stop() }
        try driver.connection.setVringFD(.setVringCall, 0, driver.queues[0].call.descriptor.raw)
        try driver.connection.setVringFD(.setVringKick, 0, nil)
        for token in 1...3 as ClosedRange<UInt64> {
            _ = driver.offerRead(token: token)
            driver.queues[0].publish()
            #expect(try driver.finish() == token)
        }
    }

    @Test("Without a kick the device looks on while its store has something for long")
    func noKickInFlight() throws {
        let store = try HeldStore()
        let backend = try Backend(held: store)
        let driver = try backend.driver()
        try driver.connection.setVringFD(.setVringKick, 0, nil)
        let place = driver.ram.allocate(1024)
        driver.offerTransfer(BlockRequestType.in, 0, place, 512, token: 1)
        driver.queues[0].publish()
        // Whatever the first one waits for, this one asks nothing of the store.
        driver.offerTransfer(BlockRequestType.getID, 0, place + 512, 20, token: 2)
        driver.queues[0].publish()
        #expect(try driver.finish() == 2)
        driver.offerTransfer(BlockRequestType.getID, 0, place + 512, 20, token: 3)
        driver.queues[0].publish()
        #expect(try driver.finish() == 3)
        store.open()
        #expect(try driver.finish() == 1)
    }

    @Test("A kick may be a pipe, with any bytes in it", arguments: [1, 8, 16, 100])
    func pipeKick(bytes: Int) throws {
        let backend = try Backend()
        let driver = try backend.driver()
        let pipe = Pipe()
        try driver.connection.setVringFD(
            .setVringKick, 0, pipe.fileHandleForReading.fileDescriptor)
        for token in 1...20 as ClosedRange<UInt64> {
            _ = driver.offerRead(token: token)
            driver.queues[0].publish()
            try pipe.fileHandleForWriting.write(contentsOf: Data(repeating: 0, count: bytes))
            #expect(try driver.finish() == token)
        }
    }

    @Test("A kick whose other end is closed is given up, and the next one works")
    func deadKick() throws {
        let backend = try Backend()
        let driver = try backend.driver()
        #expect(try driver.works())
        let pipe = Pipe()
        try pipe.fileHandleForWriting.close()
        try driver.connection.setVringFD(
            .setVringKick, 0, pipe.fileHandleForReading.fileDescriptor)
        for _ in 0..<5 { try driver.connection.setVringEnable(0, 1) }
        try driver.connection.setVringFD(.setVringKick, 0, driver.queues[0].kick.descriptor.raw)
        #expect(try driver.works())
        #expect(try driver.connection.vringBase(0) == 4)
    }

    @Test("A call that nobody reads does not hold the device up", arguments: [true, false])
    func fullCall(isPipe: Bool) throws {
        let backend = try Backend()
        let driver = try backend.driver()
        let pipe = Pipe()
        try pipe.fileHandleForWriting.write(contentsOf: Data(repeating: 0, count: 65_536))
        // Both wait where there is no room: nobody has asked them not to.
        let counter = try EventFD()
        File.setBlocking(counter.descriptor)
        let number = counter.descriptor.raw
        let full = Data(Bytes.of(UInt64.max - 1))
        try FileHandle(fileDescriptor: number, closeOnDealloc: false).write(contentsOf: full)
        let raw = isPipe ? pipe.fileHandleForWriting.fileDescriptor : number
        driver.connection.deadline = 3000
        try driver.connection.setVringFD(.setVringCall, 0, raw)
        let read = driver.offerRead()
        driver.queues[0].submit()
        #expect(soon { driver.splitQueues[0].usedIndex() == 1 })
        #expect(read.status == 0)
        #expect(try driver.connection.vringBase(0) == 1)
    }

    @Test("A call whose reader has gone is no error")
    func brokenCall() throws {
        let backend = try Backend()
        let driver = try backend.driver()
        let pipe = Pipe()
        try pipe.fileHandleForReading.close()
        try driver.connection.setVringFD(
            .setVringCall, 0, pipe.fileHandleForWriting.fileDescriptor)
        _ = driver.offerRead()
        driver.queues[0].submit()
        #expect(soon { driver.splitQueues[0].usedIndex() == 1 })
        #expect(try driver.connection.vringBase(0) == 1)
    }

    @Test("With event indices there is one call for what the driver asked to hear of")
    func callSuppression() throws {
        let backend = try Backend()
        let driver = try backend.driver()
        let queue = driver.splitQueues[0]
        #expect(queue.waitForCall())
        queue.setUsedEvent(3)
        for count in 1...3 as ClosedRange<UInt16> {
            _ = driver.offerRead()
            queue.submit()
            #expect(soon { queue.usedIndex() == count })
        }
        // A message to the running ring comes after all that its worker did for the third.
        try driver.connection.setVringEnable(0, 1)
        #expect(!queue.takeCall())
        _ = driver.offerRead()
        queue.submit()
        #expect(queue.waitForCall())
    }

    @Test("Without event indices the driver's flag silences the calls")
    func callFlag() throws {
        let backend = try Backend()
        let driver = try backend.driver { $0.features.remove(.eventIndex) }
        let queue = driver.splitQueues[0]
        #expect(queue.waitForCall())
        queue.setInterruptsSuppressed(true)
        _ = driver.offerRead()
        queue.submit()
        #expect(soon { queue.usedIndex() == 1 })
        try driver.connection.setVringEnable(0, 1)
        #expect(!queue.takeCall())
        queue.setInterruptsSuppressed(false)
        _ = driver.offerRead()
        queue.submit()
        #expect(queue.waitForCall())
    }

    @Test(
        "A request that comes just as the worker falls asleep is not lost",
        arguments: RingShape.all.filter { !$0.indirect && !$0.inOrder }, [0, 3] as [UInt32])
    func fallingAsleep(shape: RingShape, pollMicroseconds: UInt32) throws {
        let backend = try Backend(workers: WorkerOptions(pollMicroseconds: pollMicroseconds))
        let driver = try backend.driver { shape.apply(to: &$0) }
        let queue = driver.queues[0]
        let place = driver.ram.allocate(1024)
        driver.ram.fill(0, count: 16, at: place)
        var lost = 0
        for round in 0..<10_000 where lost == 0 {
            _ = queue.offer([.readable(place, 16), .writable(place + 16, 513)], token: 0)
            queue.submit()
            lost += soon { (try? queue.reap()) ?? nil != nil } ? 0 : 1
            // A little later each time, so that some come in the middle of falling asleep.
            for _ in 0..<round % 1000 { Mapping.fullFence() }
        }
        #expect(lost == 0)
    }
}
