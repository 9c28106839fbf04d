import Glibc
import Host
import Testing
import VhostUserFrontend
import VirtioSpec

@Suite("The inflight buffer is made for the front-end, and believed only as far as it can be")
struct InflightTests {
    /// A buffer of the front-end's own making for one queue of eight entries.
    private static func buffer(bytes: Int = 4096) throws -> (SharedFile, InflightRegion) {
        let memory = try SharedFile(SharedMemory(count: 4096))
        let region = InflightRegion(
            try memory.memory.descriptor.duplicate(), byteCount: UInt64(bytes), queueCount: 1,
            queueSize: 8)
        return (memory, region)
    }

    @Test("It is large enough, zero throughout, and nobody can shorten it")
    func made() throws {
        let backend = try Backend()
        let connection = try backend.negotiated()
        let region = try connection.inflightRegion(queueCount: 4, queueSize: 256)
        #expect(region.fileOffset == 0 && region.queueCount == 4 && region.queueSize == 256)
        // Packed regions are the larger ones: 32 bytes, and 32 for each entry.
        #expect(region.byteCount >= 4 * (32 + 256 * 32))
        let facts = try region.descriptor.facts()
        #expect(facts.kind == .regular && facts.byteCount >= region.byteCount)
        let mapping = try Mapping.shared(
            region.descriptor, count: Int(region.byteCount), pageBytes: 4096)
        #expect(mapping.bytes(at: 0, count: mapping.count).allSatisfy { $0 == 0 })
        #expect(ftruncate(region.descriptor.raw, 4096) != 0)
    }

    @Test(
        "One that can't be is refused, and the session goes on",
        arguments: [
            (4096, 0, 0, 8), (4096, 0, 1, 0), (4096, 8, 1, 8), (8192, 0, 1, 8), (4096, 4096, 1, 8),
            (.max, 64, 1, 8), (1 << 63, 0, 1, 8), (64, 0, 1, 8), (4096, 0, 1, 1024),
            (4096, 0, .max, .max),
        ] as [(UInt64, UInt64, UInt16, UInt16)])
    func impossible(bytes: UInt64, offset: UInt64, queues: UInt16, entries: UInt16) throws {
        let backend = try Backend()
        let connection = try backend.negotiated()
        let (memory, _) = try Self.buffer()
        let answer = try connection.exchange(
            .setInflightFD, BadMessage.inflight(bytes, offset, queues, entries),
            descriptors: [memory.memory.descriptor.raw])
        #expect(answer.number != 0)
        #expect(connection.isAlive())
    }

    @Test("So is one that is no memory")
    func noMemory() throws {
        let backend = try Backend()
        let connection = try backend.negotiated()
        let event = try EventFD()
        let answer = try connection.exchange(
            .setInflightFD, BadMessage.inflight(4096, 0, 1, 8),
            descriptors: [event.descriptor.raw])
        #expect(answer.number != 0)
        #expect(connection.isAlive())
    }

    /// Starts a ring with a buffer that has been written to. Returns the answer to the kick.
    private func start(
        size: UInt16 = 8, index: UInt32 = 0, bytes: Int = 4096,
        _ write: (Mapping) -> Void
    ) throws -> UInt64 {
        let backend = try Backend()
        let connection = try backend.negotiated()
        let ram = try GuestRAM(byteCount: 1 << 20)
        let queue = try SplitDriverQueue(ram, size: size)
        let (memory, region) = try Self.buffer(bytes: bytes)
        write(memory.memory.mapping)
        try connection.setInflight(region)
        try connection.setMemoryTable(ram)
        try connection.describe(index, queue)
        let answer = try connection.exchange(
            .setVringKick, Bytes.of(UInt64(index)),
            descriptors: [queue.kick.descriptor.raw])
        #expect(connection.isAlive())
        return answer.number
    }

    @Test("A ring starts with a buffer that is new, and with one that is in use")
    func starts() throws {
        #expect(try start { _ in } == 0)
        #expect(
            try start {
                $0.store16(1, at: 8)
                $0.store16(8, at: 10)
            } == 0)
    }

    @Test("A ring that its buffer is not for does not start")
    func startsNot() throws {
        #expect(try start { $0.store16(2, at: 8) } != 0, "version")
        #expect(
            try start {
                $0.store16(1, at: 8)
                $0.store16(8, at: 10)
                $0.store64(1, at: 0)
            } != 0, "features")
        #expect(
            try start {
                $0.store16(1, at: 8)
                $0.store16(16, at: 10)
            } != 0, "entries")
        #expect(try start(size: 16) { _ in } != 0, "a larger ring")
        #expect(try start(index: 1) { _ in } != 0, "a ring too many")
    }

    @Test("The ring made larger after the buffer was given does not start either")
    func grows() throws {
        let backend = try Backend()
        let driver = try backend.driver {
            $0.keepsInflight = true
            $0.queueSize = 8
        }
        #expect(try driver.works())
        _ = try driver.stop()
        let queue = try SplitDriverQueue(driver.ram, size: 64)
        try driver.connection.describe(0, queue)
        let answer = try driver.connection.exchange(
            .setVringKick, Bytes.of(UInt64(0)), descriptors: [queue.kick.descriptor.raw])
        #expect(answer.number != 0)
        #expect(driver.connection.isAlive())
    }

    @Test("A buffer whose list goes in a circle costs the ring, and nothing else")
    func circle() throws {
        let backend = try Backend()
        let driver = try backend.driver { $0.queues = 2 }
        _ = try driver.stop()
        let (memory, region) = try Self.buffer()
        memory.memory.mapping.store16(1, at: 8)
        memory.memory.mapping.store16(8, at: 10)
        // The used index went on by two, and the last batch is head 0, then 0.
        memory.memory.mapping.store16(0xfffe, at: 14)
        let queue = try SplitDriverQueue(driver.ram, size: 8)
        try driver.connection.setInflight(region)
        try driver.connection.describe(0, queue)
        try driver.connection.setVringFD(.setVringError, 0, queue.error.descriptor.raw)
        try driver.connection.setVringFD(.setVringKick, 0, queue.kick.descriptor.raw)
        #expect(queue.waitForError())
        #expect(driver.connection.isAlive())
    }

    @Test("One that is shortened under us costs the session, and nothing else")
    func shortened() throws {
        let backend = try Backend()
        let driver = try backend.driver { $0.queueSize = 8 }
        _ = try driver.stop()
        let (memory, region) = try Self.buffer()
        try driver.connection.setInflight(region)
        try driver.start(0, base: 0)
        try memory.memory.truncate(to: 0)
        _ = driver.offerRead()
        driver.queues[0].submit()
        driver.queues[0].kick.signal()
        try driver.connection.waitForClose()
        #expect(try backend.servesAnother())
    }

    @Test("A ring that begins anew has nothing in flight, whatever the buffer says")
    func renewed() throws {
        let backend = try Backend()
        for packed in [false, true] {
            let driver = try backend.driver {
                $0.keepsInflight = true
                $0.packed = packed
            }
            for _ in 0..<3 { #expect(try driver.works()) }
            _ = try driver.connection.vringBase(0)
            try driver.renew(0)
            #expect(try driver.works())
        }
    }
}

/// Memory that can be handed around.
private final class SharedFile {
    let memory: SharedMemory
    init(_ memory: consuming SharedMemory) { self.memory = memory }
}
