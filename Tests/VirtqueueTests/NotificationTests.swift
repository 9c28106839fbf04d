import Testing
import VhostUserFrontend
import VirtioSpec
import Virtqueue

@Suite("Each side is told just when it asked to be")
struct NotificationTests {
    /// virtio 1.3 §2.7.7.2 in its own words: the driver is told when the entry at index
    /// `used_event` is among those that were just used.
    private static func isCallWanted(old: UInt16, count: UInt16, event: UInt16) -> Bool {
        (0..<count).contains { old &+ $0 == event }
    }

    @Test(
        "A call is wanted when the index asked for is among those just used",
        arguments: 1...8 as ClosedRange<UInt16>,
        [0, 1, 0x7ffb, 0x7fff, 0xfff8, 0xfffc, 0xffff] as [UInt16])
    func callNearTheWindow(count: UInt16, old: UInt16) throws {
        let bench = try OneWay(eventIndex: true)
        for distance in -12...12 {
            let event = old &+ UInt16(truncatingIfNeeded: distance)
            try bench.restart(at: old)
            bench.driver.setUsedEvent(event)
            try bench.pass(count)
            let expected = Self.isCallWanted(old: old, count: count, event: event)
            let wanted = bench.publish()
            #expect(wanted == expected, "from \(old), \(count) used, event \(event)")
            let again = bench.publish()
            #expect(!again, "from \(old), \(count) used, event \(event)")
        }
    }

    @Test("All around the circle one index asks for a call", arguments: [1, 3] as [UInt16])
    func callAllAround(count: UInt16) throws {
        let bench = try OneWay(eventIndex: true)
        var old: UInt16 = 0
        var wrong = 0
        try bench.restart(at: old)
        for distance in 0...UInt16.max {
            let event = old &+ distance
            bench.driver.setUsedEvent(event)
            try bench.pass(count)
            let expected = Self.isCallWanted(old: old, count: count, event: event)
            wrong += bench.publish() == expected ? 0 : 1
            old &+= count
        }
        #expect(wrong == 0)
    }

    @Test("The driver's wish is read when used entries are shown, not before")
    func lateWish() throws {
        let bench = try OneWay(eventIndex: true)
        try bench.restart(at: 0xfffe)
        bench.driver.setUsedEvent(5)
        try bench.pass(2)
        bench.driver.setUsedEvent(0xffff)
        #expect(bench.publish())
    }

    @Test("With event indices the NO_INTERRUPT flag says nothing", arguments: [0, 1])
    func flagIgnored(distance: UInt16) throws {
        let bench = try OneWay(eventIndex: true)
        try bench.restart(at: 7)
        bench.driver.setInterruptsSuppressed(true)
        bench.driver.setUsedEvent(7 + distance)
        try bench.pass(1)
        let wanted = bench.publish()
        #expect(wanted == (distance == 0))
    }

    @Test("Without event indices the NO_INTERRUPT flag decides", arguments: [false, true])
    func flagHeeded(isSuppressed: Bool) throws {
        let bench = try OneWay(eventIndex: false)
        try bench.restart(at: 0xffff)
        // Where `used_event` would be is nobody's business.
        bench.driver.setUsedEvent(isSuppressed ? 0xffff : 0x1234)
        bench.driver.setInterruptsSuppressed(isSuppressed)
        try bench.pass(3)
        let wanted = bench.publish()
        #expect(wanted == !isSuppressed)
        bench.driver.setInterruptsSuppressed(!isSuppressed)
        try bench.pass(1)
        let wantedThen = bench.publish()
        #expect(wantedThen == isSuppressed)
    }

    @Test("Bits beside NO_INTERRUPT say nothing", arguments: [(0xfffe, true), (0xffff, false)])
    func otherFlags(flags: UInt16, expected: Bool) throws {
        let bench = try OneWay(eventIndex: false)
        try bench.restart(at: 0)
        bench.driver.ram.write(Bytes.of(flags), at: bench.driver.available)
        try bench.pass(1)
        let wanted = bench.publish()
        #expect(wanted == expected)
    }

    @Test("Nothing used, nothing said", arguments: [true, false])
    func nothingUsed(eventIndex: Bool) throws {
        let bench = try OneWay(eventIndex: eventIndex)
        try bench.restart(at: 0xffff)
        bench.driver.setUsedEvent(0xffff)
        #expect(!bench.publish())
        bench.makeAvailable()
        #expect(!bench.publish())
    }

    // Kicks.

    @Test(
        "Asking for kicks tells of what came before, and of nothing else",
        arguments: [true, false], [0, 0xfffe, 0xffff] as [UInt16])
    func requestKicks(eventIndex: Bool, start: UInt16) throws {
        let bench = try OneWay(eventIndex: eventIndex)
        try bench.restart(at: start)
        for round in 0..<4 as Range<UInt16> {
            bench.bench.suppressKicks()
            #expect(!bench.bench.requestKicks(), "round \(round)")
            bench.bench.suppressKicks()
            #expect(try bench.bench.takeOne() == nil)
            bench.makeAvailable()  // After the last look, before the request.
            #expect(bench.bench.requestKicks(), "round \(round)")
            #expect(bench.bench.requestKicks(), "round \(round)")
            #expect(try bench.bench.takeOne() != nil)
        }
    }

    @Test(
        "With event indices the driver is asked to kick at the very next chain",
        arguments: [0, 0xfffe, 0xffff] as [UInt16])
    func availableEvent(start: UInt16) throws {
        let bench = try OneWay(eventIndex: true)
        try bench.restart(at: start)
        for round in 0..<4 as Range<UInt16> {
            #expect(!bench.bench.requestKicks())
            #expect(bench.driver.availableEvent() == start &+ round)
            // The flags stay zero (virtio 1.3 §2.7.10.1).
            #expect(bench.driver.usedFlags() == 0)
            try bench.pass(1)
        }
        // Suppressed: the event stays behind.
        bench.bench.suppressKicks()
        #expect(bench.driver.availableEvent() == start &+ 3)
        #expect(bench.driver.usedFlags() == 0)
    }

    @Test("Without event indices a flag asks for kicks or for none")
    func kickFlag() throws {
        let bench = try OneWay(eventIndex: false)
        try bench.restart(at: 0xffff)
        #expect(bench.driver.usedFlags() == 0)
        bench.bench.suppressKicks()
        #expect(bench.driver.usedFlags() == 1)
        #expect(!bench.bench.requestKicks())
        #expect(bench.driver.usedFlags() == 0)
    }

    @Test("Looking for work finds what was seen and what was not", arguments: [true, false])
    func hasAvailable(eventIndex: Bool) throws {
        let bench = try OneWay(eventIndex: eventIndex)
        try bench.restart(at: 0xffff)
        #expect(!bench.bench.hasAvailable())
        bench.makeAvailable()
        bench.makeAvailable()
        #expect(bench.bench.hasAvailable())
        _ = try bench.bench.takeOne()
        #expect(bench.bench.hasAvailable())
        _ = try bench.bench.takeOne()
        #expect(!bench.bench.hasAvailable())
    }
}

/// A ring of 8 through which chains of one buffer pass, with no book kept on the driver's side.
private final class OneWay {
    let bench: RingBench
    var driver: SplitDriverQueue { bench.split }

    init(eventIndex: Bool) throws {
        bench = try RingBench(size: 8, eventIndex: eventIndex)
        let data = bench.driver.ram.allocate(16)
        for index in 0..<8 as Range<UInt16> {
            bench.split.setDescriptor(
                index, Descriptor(address: data, length: 16, flags: Flag.write))
        }
    }

    /// Both indices at `index`, nothing in the ring.
    func restart(at index: UInt16) throws {
        driver.setAvailableIndex(index)
        driver.setUsedIndex(index)
        try bench.restart(base: UInt32(index))
    }

    func makeAvailable() { bench.makeAvailable(driver.availableIndex() & 7) }

    /// Lets `count` chains through, but for the last step: the driver is not shown them.
    func pass(_ count: UInt16) throws {
        for _ in 0..<count {
            makeAvailable()
            _ = try bench.takeOne()
        }
    }

    func publish() -> Bool { bench.publish() }
}
