import Testing
import VhostUserFrontend
import VirtioSpec
import Virtqueue

@Suite("A driver that breaks the ring latches it, and what is in flight still completes")
struct BrokenRingTests {
    @Test(
        "An available index further ahead than the ring is long, or behind, is refused",
        arguments: [1, 2, 8, 256] as [UInt16], [1, 2, 0x7f00, 0x8000] as [UInt16])
    func indexJump(size: UInt16, excess: UInt16) throws {
        let ring = try Breakable(size: size)
        ring.driver.setAvailableIndex(0 &+ size &+ excess)
        try ring.expectRefused(.indexJump(size + excess))
    }

    @Test("An available index that goes backwards is refused", arguments: [1, 2, 9] as [UInt16])
    func backwards(steps: UInt16) throws {
        let ring = try Breakable()
        ring.driver.setAvailableIndex(0 &- steps)
        // Steps back are nearly a whole turn ahead.
        try ring.expectRefused(.indexJump(0 &- steps))
    }

    @Test("A ring offered full to the brim is fine", arguments: [1, 2, 8, 256] as [UInt16])
    func full(size: UInt16) throws {
        let bench = try RingBench(size: size, start: 65_530)
        let data = bench.driver.ram.allocate(16)
        for token in 0..<UInt64(size) {
            _ = bench.driver.offer([.writable(data, 16)], token: token)
        }
        bench.driver.publish()
        let taken = try (0..<size).map { _ in try #require(try bench.hold()).head }
        #expect(Set(taken).count == Int(size))
        #expect(try bench.takeOne() == nil)
    }

    @Test("A head out of range is refused", arguments: [8, 9, 0x7fff, 0xffff] as [UInt16])
    func headOutOfRange(head: UInt16) throws {
        let ring = try Breakable()
        ring.bench.makeAvailable(head)
        try ring.expectRefused(.headOutOfRange(head))
    }

    @Test("A head that is in flight is refused", arguments: [false, true])
    func headInFlight(indirect: Bool) throws {
        let ring = try Breakable(indirect: indirect)
        ring.bench.makeAvailable(0)
        try ring.expectRefused(.headInFlight(0))
    }

    @Test("A head made available twice in one batch is refused the second time")
    func headTwice() throws {
        let ring = try Breakable()
        ring.offer([(3, .writable(ring.data, 16))])
        ring.bench.makeAvailable(3)
        let first = try #require(try ring.bench.hold())
        #expect(first.head == 3)
        #expect(throws: QueueViolation.headInFlight(3)) { try ring.bench.takeOne() }
        #expect(ring.bench.queue.inFlight == 2)
        #expect(ring.bench.queue.violation == .headInFlight(3))
    }

    @Test("A head that was given back may come again")
    func headAgain() throws {
        let ring = try Breakable()
        ring.finish()
        ring.bench.makeAvailable(0)
        #expect(try #require(try ring.bench.takeOne()) == (0, 16))
    }

    @Test(
        "A link out of range is refused, wherever it is in the chain",
        arguments: [1, 2, 5], [8, 9, 0xffff] as [UInt16])
    func nextOutOfRange(depth: Int, next: UInt16) throws {
        let ring = try Breakable()
        ring.offer((1...depth).map { (UInt16($0), .readable(ring.data, 16)) })
        ring.driver.setDescriptor(
            UInt16(depth),
            Descriptor(address: ring.data, length: 16, flags: Flag.next, next: next))
        try ring.expectRefused(.nextOutOfRange(head: 1, next: next))
    }

    @Test(
        "A chain that goes in a circle is refused, whatever the circle's length and its way in",
        arguments: [1, 2, 3, 7, 8] as [UInt16], [Flag.next, Flag.next | Flag.write])
    func circle(length: UInt16, flags: UInt16) throws {
        let ring = try Breakable()
        // Descriptors 1, 2, ... in a row; the last of the circle leads back to its first.
        for index in 0..<8 as Range<UInt16> {
            let first: UInt16 = 9 - length  // So that all eight are walked.
            let next = index == 0 ? first % 8 : (index + 1) % 8
            ring.driver.setDescriptor(
                index, Descriptor(address: ring.data, length: 1, flags: flags, next: next))
        }
        ring.bench.makeAvailable(1)
        try ring.expectRefused(.chainTooLong(head: 1))
    }

    @Test("The smallest ring knows the smallest circle")
    func smallestCircle() throws {
        let bench = try RingBench(size: 1)
        bench.split.setDescriptor(
            0, Descriptor(address: 0, length: 1, flags: Flag.next, next: 0))
        bench.makeAvailable(0)
        #expect(throws: QueueViolation.chainTooLong(head: 0)) { try bench.takeOne() }
        #expect(try bench.takeOne() == nil)
    }

    @Test(
        "A chain of all the ring's descriptors is fine",
        arguments: [1, 2, 8, 256, 1024, 2048] as [UInt16])
    func longest(size: UInt16) throws {
        let bench = try RingBench(size: size)
        // Every other byte, so that no two buffers are neighbours.
        let data = bench.driver.ram.allocate(Int(size) * 2)
        let buffers = (0..<Int(size)).map { DriverBuffer.writable(data + UInt64($0 * 2), 1) }
        _ = bench.driver.offer(buffers, token: 1)
        bench.driver.publish()
        #expect(try #require(try bench.takeOne()) == (0, Int(size)))
        #expect(bench.buffers.writable.count == Int(size))
    }

    @Test("The largest ring's longest chain is fine where its buffers follow each other")
    func largest() throws {
        let bench = try RingBench(size: 32_768)
        let data = bench.driver.ram.allocate(32_768)
        let buffers = (0..<32_768).map { DriverBuffer.readable(data + UInt64($0), 1) }
        _ = bench.driver.offer(buffers, token: 1)
        bench.driver.publish()
        #expect(try #require(try bench.takeOne()) == (32_768, 0))
        #expect(bench.buffers.readable.count == 1)
    }

    @Test("More separate buffers than anyone sends are refused")
    func tooManyBuffers() throws {
        let ring = try Breakable(size: 4096)
        ring.offer((1...4095).map { ($0, .readable(ring.data + UInt64($0) * 2, 1)) })
        try ring.expectRefused(.tooManyBuffers(head: 1))
    }

    @Test(
        "A buffer to read after one to write is refused",
        arguments: ["WR", "RWR", "WWR", "RWRW", "RRRRWWR"])
    func readableAfterWritable(order: String) throws {
        let ring = try Breakable()
        ring.offer(
            order.enumerated().map { place, letter in
                let address = ring.data + UInt64(place) * 32
                return (UInt16(place + 1), DriverBuffer.of(letter, address, 16))
            })
        try ring.expectRefused(.readableAfterWritable(head: 1))
    }
}

extension DriverBuffer {
    /// W: to write. R: to read.
    static func of(_ letter: Character, _ address: UInt64, _ length: Int) -> DriverBuffer {
        letter == "W" ? .writable(address, length) : .readable(address, length)
    }
}
