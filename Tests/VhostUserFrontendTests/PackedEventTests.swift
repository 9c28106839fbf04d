import Host
import Testing
import VhostUserFrontend
import VirtioSpec

@Suite("Event suppression on packed rings")
struct PackedEventTests {
    private func driver(
        size: UInt16, at slot: UInt16 = 0, wrap: Bool = true, eventIndex: Bool = true
    ) throws -> PackedDriverQueue {
        try PackedDriverQueue(
            GuestRAM(byteCount: 1 << 20), size: size,
            DriverQueue.Options(eventIndex: eventIndex),
            start: PackedRingBase(at: slot, wrap: wrap).rawValue)
    }

    @Test("A kick goes out where the descriptor the device named is among the new ones")
    func kickAtDescriptor() throws {
        let size: UInt16 = 5
        for start in 0..<size {
            for wrap in [false, true] {
                for count in 1...size {
                    try kicks(size, start, wrap, count)
                }
            }
        }
    }

    /// All events against `count` descriptors published at once.
    private func kicks(_ size: UInt16, _ start: UInt16, _ wrap: Bool, _ count: UInt16) throws {
        var published: Set<UInt16> = []
        var place = (slot: start, wrap: wrap)
        for _ in 0..<count {
            published.insert(place.slot | (place.wrap ? 0x8000 : 0))
            place.slot += 1
            if place.slot == size { place = (0, !place.wrap) }
        }
        for slot in 0..<size {
            for mark in [0, 0x8000] as [UInt16] {
                let driver = try driver(size: size, at: start, wrap: wrap)
                driver.setDeviceEvent(slot | mark, flags: 2)
                for _ in 0..<count { _ = driver.offer([.readable(0, 1)], token: 0) }
                let isWanted = driver.submit()
                #expect(isWanted == published.contains(slot | mark))
                #expect(driver.kick.drain() == isWanted)
                // What was considered once is not considered again.
                #expect(!driver.kickIfWanted())
            }
        }
    }

    @Test("The flags alone: any kick, or none", arguments: [true, false])
    func kickFlags(eventIndex: Bool) throws {
        let driver = try driver(size: 8, eventIndex: eventIndex)
        for (flags, isWanted) in [(0, true), (1, false), (0, true)] as [(UInt16, Bool)] {
            driver.setDeviceEvent(0x7777, flags: flags)
            _ = driver.offer([.readable(0, 1)], token: 0)
            #expect(driver.submit() == isWanted)
        }
        // What no device may write is no reason to let it sleep.
        for flags in [2, 3, 0xffff] as [UInt16] {
            driver.setDeviceEvent(0x7fff, flags: flags)
            _ = driver.offer([.readable(0, 1)], token: 0)
            #expect(driver.submit())
        }
    }

    @Test("Publishing twice before asking counts both")
    func kickForBoth() throws {
        let driver = try driver(size: 8)
        driver.setDeviceEvent(0x8000, flags: 2)
        for _ in 0..<2 {
            _ = driver.offer([.readable(0, 1)], token: 0)
            driver.publish()
        }
        #expect(driver.kickIfWanted())
    }

    @Test("A call is asked for at the next descriptor that comes back, or not at all")
    func calls() throws {
        let driver = try driver(size: 3, at: 2, wrap: true)
        var device = PackedDevice(driver)
        #expect(driver.driverEvent() == (0, 0))
        #expect(!driver.armCall())
        #expect(driver.driverEvent() == (0x8002, 2))
        _ = driver.offer([.readable(0, 1), .readable(0, 1)], token: 4)
        driver.publish()
        let taken = try device.takeOne()
        device.complete(taken.id, taken.count, written: 0)
        #expect(driver.armCall())
        _ = try driver.reap()
        #expect(!driver.armCall())
        #expect(driver.driverEvent() == (0x0001, 2))
        driver.suppressCalls()
        #expect(driver.driverEvent().flags == 1)
    }

    @Test("Without event indices calls are on or off")
    func callFlags() throws {
        let driver = try driver(size: 3, eventIndex: false)
        driver.suppressCalls()
        #expect(driver.driverEvent().flags == 1)
        _ = driver.armCall()
        #expect(driver.driverEvent() == (0, 0))
    }

    @Test("Waiting ends with the call, and with what is there already")
    func waiting() throws {
        let driver = try driver(size: 4)
        var device = PackedDevice(driver)
        #expect(throws: FrontendError.timedOut) { try driver.waitForUsed(milliseconds: 0) }
        _ = driver.offer([.readable(0, 1)], token: 0)
        driver.publish()
        let taken = try device.takeOne()
        device.complete(taken.id, taken.count, written: 0)
        try driver.waitForUsed(milliseconds: 0)
        #expect(try driver.reap() != nil)
    }
}
