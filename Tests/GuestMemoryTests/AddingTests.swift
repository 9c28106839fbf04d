import Glibc
import GuestMemory
import Host
import Testing
import VirtioSpec

@Suite("A region is taken only where its numbers and its file are sound")
struct AddingTests {
    @Test("A region of no bytes is refused")
    func empty() throws {
        let file = try MemoryFile(4096)
        #expect(throws: MemoryFault.empty) {
            try GuestMap.empty.adding(.at(0x1000, 0), file: file.descriptor)
        }
    }

    static let wrapping: [MemoryRegion] = [
        // By guest address, by user address, by offset; just over the end and far over it.
        .at(0xffff_ffff_ffff_f000, 0x1001, user: 0), .at(0xffff_ffff_ffff_ffff, 1, user: 0),
        .at(0xffff_ffff_ffff_f000, 0x2000, user: 0), .at(1, UInt64.max, user: 0),
        .at(0, 0x1001, user: 0xffff_ffff_ffff_f000), .at(0, 1, user: 0xffff_ffff_ffff_ffff),
        .at(0, 0x1000, offset: 0xffff_ffff_ffff_f001), .at(0, 1, offset: 0xffff_ffff_ffff_ffff),
        .at(0, UInt64.max, user: 0, offset: 1), .at(0, UInt64.max, user: 0),
        .at(0, 1 << 63, user: 0),
    ]

    @Test("A region that passes the end of an address space is refused", arguments: wrapping)
    func wraps(region: MemoryRegion) throws {
        let file = try MemoryFile(0x10000)
        #expect(throws: MemoryFault.wraps) {
            try GuestMap.empty.adding(region, file: file.descriptor)
        }
    }

    // Beside a region of 4 pages at guest 0x10000 and user 0x50000.
    static let old = MemoryRegion.at(0x10000, 0x4000, user: 0x50000)

    @Test(
        "A region that shares a byte with another is refused, by guest as by user address",
        arguments: [
            .at(0x10000, 0x4000, user: 0x50000),
            .at(0x13fff, 1, user: 0x1000), .at(0x10000, 1, user: 0x1000),
            .at(0xffff, 2, user: 0x1000), .at(0x13fff, 0x1000, user: 0x1000),
            .at(0x11000, 0x1000, user: 0x1000), .at(0, 0x20000, user: 0x100000),
            .at(0x1000, 1, user: 0x50000), .at(0x1000, 1, user: 0x53fff),
            .at(0x1000, 2, user: 0x4ffff), .at(0x1000, 0x1000, user: 0x53fff),
            .at(0x1000, 0x1000, user: 0x51000), .at(0x100000, 0x20000, user: 0x40000),
        ] as [MemoryRegion])
    func overlaps(region: MemoryRegion) throws {
        let file = try MemoryFile(0x40000)
        let map = try GuestMap.empty.adding(Self.old, file: file.descriptor)
        #expect(throws: MemoryFault.overlaps(Self.old)) {
            try map.adding(region, file: file.descriptor)
        }
        #expect(map.regions == [Self.old])
    }

    @Test(
        "A region that touches another is fine",
        arguments: [
            .at(0x14000, 1, user: 0x54000), .at(0xf000, 0x1000, user: 0x4f000),
            .at(0xffff, 1, user: 0x54000), .at(0x14000, 0x4000, user: 0x4c000),
            .at(0, 0x10000, user: 0), .at(0x14000, 0x1000, user: 0x10000),
        ] as [MemoryRegion])
    func touches(region: MemoryRegion) throws {
        let file = try MemoryFile(0x40000)
        let map = try GuestMap.empty.adding(Self.old, file: file.descriptor)
            .adding(region, file: file.descriptor)
        let expected = [region, Self.old].sorted { $0.guestAddress < $1.guestAddress }
        #expect(map.regions == expected)
    }

    @Test(
        "A file that ends before its region is refused, with its length",
        arguments: [
            .at(0, 0x4001), .at(0, 0x4000, offset: 1), .at(0, 1, offset: 0x4000),
            .at(0, 0x1000, offset: 0x3001), .at(0, 0x1000, offset: 0x7fff_ffff_ffff_0000),
            .at(0, 0x7fff_ffff_ffff_ffff, user: 0), .at(0, 1 << 46),
        ] as [MemoryRegion])
    func beyondFile(region: MemoryRegion) throws {
        let file = try MemoryFile(0x4000)
        #expect(throws: MemoryFault.beyondFile(0x4000)) {
            try GuestMap.empty.adding(region, file: file.descriptor)
        }
    }

    @Test(
        "A region up to the file's last byte is fine, and to the address space's last half",
        arguments: [
            .at(0, 0x4000), .at(0, 1, offset: 0x3fff), .at(0, 0x3001, offset: 0xfff),
            .at(0x7fff_ffff_ffff_bfff, 0x4000, user: 0x7fff_ffff_ffff_bfff),
        ] as [MemoryRegion])
    func toTheEnd(region: MemoryRegion) throws {
        let file = try MemoryFile(0x4000)
        #expect(try GuestMap.empty.adding(region, file: file.descriptor).regions == [region])
    }

    @Test("509 regions are fine, as many as Linux guests use, and no more")
    func tooMany() throws {
        let file = try MemoryFile(0x1000)
        var map = GuestMap.empty
        for number in 0..<509 as Range<UInt64> {
            map = try map.adding(.at(number << 16, 0x1000), file: file.descriptor)
        }
        #expect(map.regions.count == 509)
        #expect(throws: MemoryFault.tooMany) {
            try map.adding(.at(509 << 16, 0x1000), file: file.descriptor)
        }
        let (fewer, _) = try map.removing(.at(7 << 16, 0x1000))
        #expect(
            try fewer.adding(.at(509 << 16, 0x1000), file: file.descriptor).regions.count == 509)
    }

    // Files that are none, or not ours to write to.

    private static func refusal(_ file: borrowing OwnedFD) -> MemoryFault? {
        do throws(MemoryFault) {
            _ = try GuestMap.empty.adding(.at(0, 0x1000), file: file)
            return nil
        } catch { return error }
    }

    @Test("What is no memory is refused")
    func notMemory() throws {
        #expect(Self.refusal(try File.open("/tmp", [])) == .notMemory)
        #expect(Self.refusal(try EventFD().descriptor) == .notMemory)
        var ends: [Int32] = [-1, -1]
        try #require(unsafe pipe(&ends) == 0)
        #expect(Self.refusal(OwnedFD(adopting: ends[0])) == .notMemory)
        #expect(Self.refusal(OwnedFD(adopting: ends[1])) == .notMemory)
        let stream = Int32(SOCK_STREAM.rawValue)
        try #require(unsafe socketpair(AF_UNIX, stream, 0, &ends) == 0)
        #expect(Self.refusal(OwnedFD(adopting: ends[0])) == .notMemory)
        #expect(Self.refusal(OwnedFD(adopting: ends[1])) == .notMemory)
    }

    @Test("A device that maps nothing is refused, one that does is taken")
    func devices() throws {
        let null = Self.refusal(try File.open("/dev/null", .writable))
        #expect(null == .system(SystemError("mmap", ENODEV)))
        #expect(Self.refusal(try File.open("/dev/zero", .writable)) == nil)
    }

    @Test("A file that we may not write to is refused")
    func readOnly() throws {
        let file = try MemoryFile(0x1000)
        #expect(Self.refusal(try file.readOnly()) == .system(SystemError("mmap", EACCES)))
    }

    @Test("A file sealed against writing is refused", arguments: [0x8, 0x10] as [Int32])
    func sealed(seal: Int32) throws {  // F_SEAL_WRITE, F_SEAL_FUTURE_WRITE
        let file = try MemoryFile(0x1000, sealed: true)
        try #require(fcntl(file.descriptor.raw, 1033, seal) == 0)  // F_ADD_SEALS
        #expect(Self.refusal(file.descriptor) == .system(SystemError("mmap", EPERM)))
    }
}
