import Host
import Randomness
import Testing
import VhostUserFrontend
import VirtioSpec
import Virtqueue

@Suite("A chain's buffers lie in the guest's memory, every byte of them")
struct BufferTests {
    // Three regions: two that touch, a gap of a page, and one more.
    private static func regions() throws -> GuestRAM {
        try GuestRAM([
            .init(guestAddress: 0x10_0000, byteCount: 0x10_0000),
            .init(guestAddress: 0x20_0000, byteCount: 0x1000),
            .init(guestAddress: 0x20_1000, byteCount: 0x10_0000),
            .init(guestAddress: 0x30_2000, byteCount: 0x10_0000),
        ])
    }

    // What no region holds: before all, in the gap, after all, over an end, around the top.
    static let missing: [(address: UInt64, length: Int)] = [
        (0, 1), (0xf_ffff, 1), (0xf_ffff, 2), (0x30_1000, 1), (0x30_1fff, 1), (0x40_2000, 1),
        (0x30_0fff, 2), (0x40_1fff, 2), (0x40_1000, 0x1001), (0x30_0fff, 0x1002),
        (0x20_0fff, 0x10_0002), (0x10_0000, 0xffff_ffff),
        (0x1_0010_0000, 16), (0x7fff_ffff_ffff_ffff, 2), (0x8000_0000_0000_0000, 16),
        (0xffff_ffff_ffff_ffff, 1), (0xffff_ffff_ffff_ffff, 2),
        (0xffff_ffff_fff0_0000, 0x20_0000), (0xffff_ffff_ffff_0000, 0xffff_ffff),
    ]

    @Test(
        "A buffer with a byte outside is refused, be it first, middle or last",
        arguments: missing, 0..<3)
    func unmapped(buffer: (address: UInt64, length: Int), place: Int) throws {
        let ring = try Breakable(ram: Self.regions())
        var buffers = (0..<3).map { DriverBuffer.readable(ring.data + UInt64($0 * 32), 16) }
        buffers[place] = .readable(buffer.address, buffer.length)
        ring.offer(buffers.enumerated().map { (UInt16($0.offset + 1), $0.element) })
        try ring.expectRefused(
            .unmapped(head: 1, address: buffer.address, bytes: UInt32(buffer.length)))
    }

    @Test(
        "In a table it is refused as well", arguments: missing, 0..<3)
    func unmappedInTable(buffer: (address: UInt64, length: Int), place: Int) throws {
        let ring = try Breakable(ram: Self.regions())
        var buffers = (0..<3).map { DriverBuffer.writable(ring.data + UInt64($0 * 32), 16) }
        buffers[place] = .writable(buffer.address, buffer.length)
        ring.writeTable(buffers.table, at: ring.data + 4096)
        ring.offerTable(ring.data + 4096, bytes: 48)
        try ring.expectRefused(
            .unmapped(head: 1, address: buffer.address, bytes: UInt32(buffer.length)))
    }

    @Test("A region at address 0 is not what comes after the top of the address space")
    func aroundTheTop() throws {
        let ring = try Breakable()  // 8 MiB from address 0 on.
        ring.offer([(1, .writable(0xffff_ffff_ffff_fff8, 16))])
        try ring.expectRefused(.unmapped(head: 1, address: 0xffff_ffff_ffff_fff8, bytes: 16))
    }

    @Test(
        "A region's first and last bytes are the device's",
        arguments: [0x10_0000, 0x1f_ffff, 0x20_0000, 0x20_0fff, 0x20_1000, 0x30_0fff, 0x40_1fff])
    func edges(address: UInt64) throws {
        let ring = try Breakable(ram: Self.regions())
        ring.offer([(1, .writable(address, 1))])
        #expect(try #require(try ring.bench.takeOne()) == (0, 1))
        ring.bench.buffers.writable.write([0x5a].span, at: 0)
        #expect(ring.driver.ram.read(1, at: address) == [0x5a])
    }

    // Over the first border by 1 byte, to the second border, over both, from page to page.
    static let crossing: [(address: UInt64, length: Int)] = [
        (0x1f_ffff, 2), (0x1f_fff0, 17), (0x1f_0000, 0x1_0001), (0x20_0001, 0x1000),
        (0x1f_ffff, 0x1001), (0x1f_ffff, 0x1002), (0x1f_f123, 0x2fff), (0x1f_fff8, 0x8_0000),
    ]

    @Test("The device writes a buffer that crosses from region to region", arguments: crossing)
    func writesAcross(address: UInt64, length: Int) throws {
        let ring = try Breakable(ram: Self.regions())
        let ram = ring.driver.ram
        ring.offer([(1, .writable(address, length))])
        #expect(try #require(try ring.bench.takeOne()) == (0, length))
        var random = Seeded()
        let bytes = (0..<length).map { _ in UInt8.random(in: 1...255, using: &random) }
        ring.bench.buffers.writable.write(bytes.span, at: 0)
        #expect(ram.read(length, at: address) == bytes, "\(random.note)")
        #expect(ram.read(1, at: address - 1) == [0])
        #expect(ram.read(1, at: address + UInt64(length)) == [0])
    }

    @Test("The device reads a buffer that crosses from region to region", arguments: crossing)
    func readsAcross(address: UInt64, length: Int) throws {
        let ring = try Breakable(ram: Self.regions())
        var random = Seeded()
        let bytes = (0..<length).map { _ in UInt8.random(in: 1...255, using: &random) }
        ring.driver.ram.write(bytes, at: address)
        ring.offer([(1, .readable(address, length))])
        #expect(try #require(try ring.bench.takeOne()) == (length, 0))
        let copy = try Mapping.anonymous(count: length)
        ring.bench.buffers.readable.drain(at: 0, into: copy, at: 0, count: length)
        #expect(copy.bytes(at: 0, count: length) == bytes, "\(random.note)")
    }

    @Test("Whatever a merged buffer spans is in use: no mapping of it may go")
    func spansManyMappings() throws {
        // Added from the top down, mappings tend to follow each other in the host's memory too.
        let plans = (0..<64).map {
            GuestRAM.Plan(guestAddress: UInt64(0x100_0000 - $0 * 0x1000), byteCount: 0x1000)
        }
        let ram = try GuestRAM([.init(guestAddress: 0, byteCount: 1 << 20)] + plans)
        let ring = try Breakable(ram: ram)
        ring.offer([(1, .writable(0x100_0000 - 63 * 0x1000, 64 * 0x1000))])
        #expect(try #require(try ring.bench.takeOne()) == (0, 64 * 0x1000))
        var table = try IOVectorTable(slots: 1, capacity: 64)
        table.store(ring.bench.buffers.writable, in: 0)
        let used = ring.bench.map.allMappings.dropFirst()
        #expect(used.count == 64)
        #expect(used.allSatisfy { ring.bench.buffers.writable.touches($0) })
        #expect(used.allSatisfy { table.touches(0, $0) })
    }
}

@Suite("A chain's length: nothing, little, and all that 32 bits hold")
struct ChainLengthTests {
    @Test(
        "Buffers of no bytes carry nothing, wherever they are and whatever their address",
        arguments: ["r", "w", "rR", "Rr", "wW", "Ww", "rRrWw", "RrwW", "rrrr", "rw", "wwWww"],
        [0x1000, 0x7fff_ffff_ffff_ffff, 0xffff_ffff_ffff_ffff] as [UInt64])
    func empty(order: String, address: UInt64) throws {
        let ring = try Breakable()
        // Small letters: no bytes.
        let buffers = order.enumerated().map { place, letter in
            letter.isLowercase
                ? DriverBuffer.of(Character(letter.uppercased()), address, 0)
                : DriverBuffer.of(letter, ring.data + UInt64(place * 32), 16)
        }
        let readable = order.count { $0 == "R" } * 16
        let writable = order.count { $0 == "W" } * 16
        ring.offer(buffers.enumerated().map { (UInt16($0.offset + 1), $0.element) })
        #expect(try #require(try ring.bench.takeOne()) == (readable, writable))
        ring.writeTable(buffers.table, at: ring.data + 4096)
        ring.offerTable(ring.data + 4096, bytes: UInt32(buffers.count * 16))
        #expect(try #require(try ring.bench.takeOne()) == (readable, writable))
    }

    // Four GiB of address space that no page backs, with a ring before it.
    private static func large() throws -> GuestRAM {
        try GuestRAM([.init(byteCount: 1 << 20), .init(guestAddress: 1 << 32, byteCount: 1 << 32)])
    }

    @Test("One byte more than 32 bits count is refused", arguments: ["R", "W"] as [Character])
    func tooManyBytes(letter: Character) throws {
        let ring = try Breakable(ram: Self.large())
        let half = DriverBuffer.of(letter, 1 << 32, 1 << 31)
        ring.offer([(1, half), (2, half)])
        try ring.expectRefused(.tooManyBytes(head: 1))
    }

    @Test("So it is in a table", arguments: ["R", "W"] as [Character], [2, 3, 1024])
    func tooManyBytesInTable(letter: Character, count: Int) throws {
        let ring = try Breakable(ram: Self.large())
        let buffers = (0..<count).map { _ in DriverBuffer.of(letter, 1 << 32, 1 << 31) }
        ring.writeTable(buffers.table, at: ring.data + 4096)
        ring.offerTable(ring.data + 4096, bytes: UInt32(count * 16))
        try ring.expectRefused(.tooManyBytes(head: 1))
    }

    @Test("All that 32 bits count is fine, to read and to write")
    func mostBytes() throws {
        let ring = try Breakable(ram: Self.large())
        ring.offer([
            (1, .readable(1 << 32, 1 << 31)), (2, .readable(1 << 32, (1 << 31) - 1)),
            (3, .writable(1 << 32, 0xffff_ffff)),
        ])
        #expect(try #require(try ring.bench.takeOne()) == (0xffff_ffff, 0xffff_ffff))
    }
}
