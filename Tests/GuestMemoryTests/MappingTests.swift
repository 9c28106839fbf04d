import GuestMemory
import Host
import Testing
import VirtioSpec

@Suite("A region's mapping lives as long as a snapshot that holds it, and no longer")
struct MappingTests {
    private static let region = MemoryRegion.at(0x10000, 0x3000, user: 0x50000, offset: 0x1000)

    @Test("It goes with the last snapshot, not with the file and not before")
    func lifetime() throws {
        var name = ""
        var map: GuestMap? = .empty
        var older: GuestMap?
        do {
            let file = try MemoryFile(0x4000)
            name = file.name
            map = try map?.adding(Self.region, file: file.descriptor)
        }
        let other = try MemoryFile(0x1000)
        older = map
        map = try map?.adding(.at(0, 0x1000), file: other.descriptor)
        #expect(try Maps.lengths(of: name) == [0x4000])
        older = nil
        #expect(try Maps.lengths(of: name) == [0x4000])
        var view: GuestMemory? = map.map { GuestMemory($0) }
        var removed: (GuestMap, Mapping)? = try map?.removing(Self.region)
        map = nil
        #expect(removed?.0.regions.count == 1)
        removed = removed.map { (.empty, $0.1) }
        #expect(try Maps.lengths(of: name) == [0x4000])
        removed = nil
        #expect(try Maps.lengths(of: name) == [0x4000])
        _ = view.take()
        #expect(try Maps.lengths(of: name) == [])
        #expect(try Maps.lengths(of: other.name) == [])
        withExtendedLifetime(older) {}
    }

    @Test("A ring keeps its memory mapped")
    func heldByRing() throws {
        let file = try MemoryFile(0x4000)
        let size = try #require(QueueSize(8))
        var ring: SplitRingMemory? = try SplitRingMemory(
            GuestMap.empty.adding(Self.region, file: file.descriptor),
            RingAddresses(descriptors: 0x50000, available: 0x51000, used: 0x52000), size: size)
        #expect(try Maps.lengths(of: file.name) == [0x4000])
        _ = ring.take()
        #expect(try Maps.lengths(of: file.name) == [])
    }

    @Test("It begins at the file's start and ends with the region's page")
    func length() throws {
        let file = try MemoryFile(0x8000)
        let map = try GuestMap.empty.adding(
            .at(0, 0x1001, offset: 0x1234), file: file.descriptor)
        #expect(try Maps.lengths(of: file.name) == [0x3000])
        withExtendedLifetime(map) {}
    }

    @Test("The guest's memory is in no core dump")
    func dontDump() throws {
        let file = try MemoryFile(0x4000)
        let map = try GuestMap.empty.adding(Self.region, file: file.descriptor)
        let flags = try Maps.flags(of: file.name)
        #expect(flags.count == 1)
        #expect(flags.allSatisfy { $0.isSuperset(of: ["rd", "wr", "sh", "dd"]) })
        withExtendedLifetime(map) {}
    }

    // Removing.

    @Test("A region goes by its addresses and its size, whatever file offset is named")
    func removing() throws {
        let file = try MemoryFile(0x4000)
        let map = try GuestMap.empty.adding(Self.region, file: file.descriptor)
            .adding(.at(0, 0x1000), file: file.descriptor)
        let (fewer, mapping) = try map.removing(
            .at(0x10000, 0x3000, user: 0x50000, offset: 0xdead))
        #expect(fewer.regions == [.at(0, 0x1000)])
        #expect(mapping === map.allMappings[1])
        #expect(fewer.allMappings.map { $0 === map.allMappings[0] } == [true])
        #expect(map.regions.count == 2)
    }

    @Test(
        "A region that is not there is refused",
        arguments: [
            .at(0x10000, 0x2fff, user: 0x50000), .at(0x10000, 0x3001, user: 0x50000),
            .at(0x10001, 0x3000, user: 0x50000), .at(0x10000, 0x3000, user: 0x50001),
            .at(0x10000, 0, user: 0x50000), .at(0x11000, 0x1000, user: 0x51000),
        ] as [MemoryRegion])
    func notThere(region: MemoryRegion) throws {
        let file = try MemoryFile(0x4000)
        let map = try GuestMap.empty.adding(Self.region, file: file.descriptor)
        #expect(throws: MemoryFault.noSuchRegion) { _ = try map.removing(region) }
        #expect(throws: MemoryFault.noSuchRegion) { _ = try GuestMap.empty.removing(region) }
    }

    // Offsets that no mmap would take.

    @Test(
        "A region may begin anywhere in its file",
        arguments: [0, 16, 0x123, 0xfff, 0x1000, 0x1001, 0x5ff0])
    func anyOffset(offset: UInt64) throws {
        let memory = try SharedMemory(count: 0x8000)
        let bytes = Array("at \(offset)".utf8)
        memory.mapping.write(bytes.span, at: Int(offset))
        let map = try GuestMap.empty.adding(
            .at(0x7000, 0x1000, offset: offset), file: memory.descriptor)
        #expect(try map.bytes(at: 0x7000, count: bytes.count) == bytes)
    }

    @Test(
        "A region in huge pages may begin at any small page of one",
        arguments: [0, 0x1000, 0x1ff000, 0x201000])
    func hugePages(offset: UInt64) throws {
        try HugePages.allowing(4) {
            let memory = try SharedMemory(count: 4 << 20, hugePages: true)
            let bytes = Array("huge at \(offset)".utf8)
            memory.mapping.write(bytes.span, at: Int(offset))
            let region = MemoryRegion.at(0x7000, 0x20_0000 - 0x1000, offset: offset)
            let map = try GuestMap.empty.adding(region, file: memory.descriptor)
            #expect(try map.bytes(at: 0x7000, count: bytes.count) == bytes)
            #expect(map.allMappings[0].count == Int(offset) + 0x1f_f000)
        }
    }

    @Test("A mapping of huge pages goes whole")
    func hugePagesUnmapped() throws {
        try HugePages.allowing(4) {
            let file = try MemoryFile(4 << 20, hugePages: true)
            var map: GuestMap? = try GuestMap.empty.adding(
                .at(0, 0x1000, offset: 0x20_0000), file: file.descriptor)
            #expect(map?.regions.count == 1)
            #expect(try Maps.lengths(of: file.name) == [4 << 20])
            map = nil
            #expect(try Maps.lengths(of: file.name) == [])
        }
    }
}

extension GuestMap {
    /// What a buffer at guest address `address` holds.
    func bytes(at address: UInt64, count: Int) throws -> [UInt8] {
        var memory = GuestMemory(self)
        var buffers = IOVectors(capacity: 8)
        guard case .found = memory.append(address, UInt32(count), to: &buffers) else { return [] }
        let copy = try Mapping.anonymous(count: count)
        buffers.drain(at: 0, into: copy, at: 0, count: count)
        return copy.bytes(at: 0, count: count)
    }
}

/// The host's huge pages, lent to one test at a time.
enum HugePages {
    private static let path = "/proc/sys/vm/nr_overcommit_hugepages"
    private static let turn = Turn()

    /// Runs `body` with leave for `count` huge pages more than the host keeps ready.
    static func allowing(_ count: Int, _ body: () throws -> Void) throws {
        try turn.take { () throws in
            let before = try Files.text(path)
            let number = Int(before.prefix { $0.isNumber }) ?? 0
            do {
                try Files.write("\(max(number, count))", to: path)
            } catch {
                Issue.record("huge pages can't be had: \(path) can't be written: \(error)")
                throw error
            }
            defer { try? Files.write(before, to: path) }
            try body()
        }
    }
}
