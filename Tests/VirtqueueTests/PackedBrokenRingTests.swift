import Testing
import VhostUserFrontend
import Virtqueue

@Suite("A driver that breaks a packed ring latches it, and what is in flight still completes")
struct PackedBrokenRingTests {
    /// A ring with one good chain in flight in its last slot, so that what follows has wrapped.
    private static func bench(
        size: UInt16 = 8, inOrder: Bool = false
    ) throws -> (bench: RingBench, good: Held, data: UInt64) {
        let bench = try RingBench(
            .packed, size: size, inOrder: inOrder, start: 2 * UInt64(size) - 1)
        let data = bench.driver.ram.allocate(1 << 20, alignment: 4096)
        _ = bench.driver.offer([.writable(data, 16)], token: 7)
        bench.driver.publish()
        return (bench, try #require(try bench.hold()), data)
    }

    @Test(
        "An id that is out of range, or in flight, is refused; the chain in flight goes back",
        arguments: [0, 8, 9, 0x7fff, 0xffff] as [UInt16], [true, false])
    func wrongID(id: UInt16, inOrder: Bool) throws {
        let (bench, good, data) = try Self.bench(inOrder: inOrder)
        bench.packed.setAvailable(
            PackedPosition(16, size: 8), .init(address: data, length: 16, id: id))
        let violation: QueueViolation = id == good.head ? .headInFlight(id) : .headOutOfRange(id)
        #expect(throws: violation) { try bench.takeOne() }
        // Mended, and latched still.
        bench.packed.setAvailable(
            PackedPosition(16, size: 8), .init(address: data, length: 16, id: 3))
        #expect(try bench.takeOne() == nil)
        let isWaiting = bench.hasAvailable()
        let mustLook = bench.requestKicks()
        #expect(!isWaiting && !mustLook)
        #expect(bench.queue.violation == violation)
        #expect(bench.queue.inFlight == 1)
        good.complete(written: 16)
        #expect(bench.publish())
        #expect(try #require(try bench.driver.reap()) == (7, 16))
    }

    @Test(
        "A chain that runs into descriptors in flight is too long",
        arguments: [2, 3, 8] as [UInt16])
    func tooLong(size: UInt16) throws {
        let (bench, good, data) = try Self.bench(size: size)
        for place in 0..<UInt64(size) - 1 {
            let position = PackedPosition(2 * UInt64(size) + place, size: size)
            bench.packed.setAvailable(
                position, .init(address: data + place * 32, length: 16, flags: Flag.next))
        }
        #expect(throws: QueueViolation.chainTooLong(head: 0)) { try bench.takeOne() }
        good.complete(written: 0)
    }

    @Test(
        "A slot that is not the driver's, marked as available all the same, is no chain",
        arguments: [true, false])
    func oversubscribed(isLast: Bool) throws {
        let (bench, good, data) = try Self.bench(size: 1)
        let flags = isLast ? 0 : Flag.next
        bench.packed.setAvailable(
            PackedPosition(2, size: 1), .init(address: data, length: 16, flags: flags))
        #expect(throws: QueueViolation.self) { try bench.takeOne() }
        good.complete(written: 0)
    }

    @Test(
        "A chain of all the ring's descriptors is fine",
        arguments: [1, 2, 3, 8, 255, 1024, 2048] as [UInt16])
    func longest(size: UInt16) throws {
        let bench = try RingBench(.packed, size: size, start: UInt64(size) / 2)
        // Every other byte, so that no two buffers are neighbours.
        let data = bench.driver.ram.allocate(Int(size) * 2)
        let buffers = (0..<Int(size)).map { DriverBuffer.writable(data + UInt64($0 * 2), 1) }
        for round in 0..<3 as Range<UInt64> {
            _ = bench.driver.offer(buffers, token: round)
            bench.driver.publish()
            #expect(try #require(try bench.takeOne(written: 1)) == (0, Int(size)))
            #expect(bench.buffers.writable.count == Int(size))
            _ = bench.publish()
            #expect(try #require(try bench.driver.reap()) == (round, 1))
        }
    }

    @Test("More separate buffers than anyone sends are refused")
    func tooManyBuffers() throws {
        let (bench, good, data) = try Self.bench(size: 4096)
        let buffers = (0..<4000).map { DriverBuffer.readable(data + UInt64($0 * 2), 1) }
        _ = bench.driver.offer(buffers, token: 1)
        bench.driver.publish()
        #expect(throws: QueueViolation.self) { try bench.takeOne() }
        // The id is a descriptor's in the middle, which is anything.
        guard case .tooManyBuffers = bench.queue.violation else {
            Issue.record("another violation, or none")
            return
        }
        good.complete(written: 0)
    }
}
