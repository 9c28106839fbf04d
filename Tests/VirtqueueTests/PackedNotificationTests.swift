import Testing
import VhostUserFrontend
import Virtqueue

@Suite("On a packed ring each side is told just when it asked to be")
struct PackedNotificationTests {
    @Test(
        "Every event, at every place, for every number of descriptors used",
        arguments: [1, 2, 3, 5, 8] as [UInt16], [true, false])
    func everyCall(size: UInt16, eventIndex: Bool) throws {
        let ring = try OneLap(size: size, eventIndex: eventIndex)
        var wrong: [String] = []
        var cases = 0
        let laps = 2 * UInt64(size)
        for start in 0..<laps {
            for count in 1...UInt64(size) {
                // One past the ring's end is no place at all: it may only lead to a call too many.
                for place in 0...size {
                    for wish in 0..<8 as Range<UInt16> {
                        let event = place | (wish & 1) << 15
                        let flags = wish >> 1
                        let covered = (start..<start + count).contains {
                            PackedPosition($0, size: size).event == event
                        }
                        let expected =
                            flags == 2 && eventIndex ? covered || place == size : flags != 1
                        try ring.begin(at: start)
                        ring.bench.packed.setDriverEvent(event, flags: flags)
                        try ring.pass(count, from: start)
                        let wanted = ring.bench.publish()
                        if wanted != expected || ring.bench.publish() {
                            wrong.append("from \(start), \(count) used, \(event), \(flags)")
                        }
                        cases += 1
                    }
                }
            }
        }
        print("packed ring of \(size), EVENT_IDX \(eventIndex): \(cases) wishes")
        #expect(wrong == [])
    }

    @Test(
        "An event in the middle of a chain is one in the chain", arguments: 0..<6 as Range<UInt64>)
    func middle(start: UInt64) throws {
        let ring = try OneLap(size: 3, eventIndex: true)
        for asked in start..<start + 3 {
            try ring.begin(at: start)
            ring.bench.packed.setDriverEvent(PackedPosition(asked, size: 3).event, flags: 2)
            ring.makeAvailable(start, flags: Flag.next)
            ring.makeAvailable(start + 1)
            #expect(try ring.bench.takeOne() != nil)
            let wanted = ring.bench.publish()
            #expect(wanted == (asked < start + 2), "asked for \(asked)")
        }
    }

    @Test(
        "The device's wish names the next descriptor, or just kicks, or none",
        arguments: [1, 3, 4] as [UInt16], [true, false])
    func deviceEvent(size: UInt16, eventIndex: Bool) throws {
        let ring = try OneLap(size: size, eventIndex: eventIndex)
        for start in 0..<2 * UInt64(size) {
            try ring.begin(at: start)
            for position in start..<start + 2 * UInt64(size) + 1 {
                #expect(!ring.bench.requestKicks())
                let place = PackedPosition(position, size: size).event
                let event = ring.bench.packed.deviceEvent()
                #expect(event == (eventIndex ? (place, 2) : (0, 0)), "at \(position)")
                ring.bench.suppressKicks()
                #expect(ring.bench.packed.deviceEvent().flags == 1)
                #expect(!ring.bench.hasAvailable())
                ring.makeAvailable(position)
                #expect(ring.bench.requestKicks())
                #expect(ring.bench.hasAvailable())
                #expect(try ring.bench.takeOne() != nil)
                _ = ring.bench.publish()
            }
        }
    }
}

/// A packed ring through which chains pass with no book kept on the driver's side.
private final class OneLap {
    let bench: RingBench
    private let size: UInt16
    private let data: UInt64

    init(size: UInt16, eventIndex: Bool) throws {
        self.size = size
        bench = try RingBench(.packed, size: size, eventIndex: eventIndex)
        data = bench.driver.ram.allocate(16)
    }

    /// Both sides at `position`, nothing in the ring.
    func begin(at position: UInt64) throws {
        let now = PackedPosition(position, size: size)
        for slot in 0..<size {
            // As the lap before left it: used.
            let wrap = slot < now.slot ? now.wrap : !now.wrap
            bench.packed.setFlags(slot, wrap ? 0x8080 : 0)
        }
        try bench.restart(base: Form.packed.base(position, size: size))
    }

    func makeAvailable(_ position: UInt64, flags: UInt16 = 0) {
        let place = PackedPosition(position, size: size)
        bench.packed.setAvailable(
            place, .init(address: data, length: 16, id: 0, flags: flags | Flag.write))
    }

    /// Lets `count` chains through, but for the last step: the driver is not shown them.
    func pass(_ count: UInt64, from start: UInt64) throws {
        for place in 0..<count {
            makeAvailable(start + place)
            #expect(try bench.takeOne() != nil)
        }
    }
}
