import Testing
import VhostUserFrontend
import VirtioSpec
import Virtqueue

@Suite("Indirect tables are read whole, judged, and refused where they are wrong")
struct BrokenTableTests {
    @Test(
        "A table of no bytes, of more than there may be, or of half a descriptor is refused",
        arguments: [
            0, 1, 15, 17, 31, 16 * 1025, 16 * 1024 + 1, 0x8000_0000, 0xffff_fff0, 0xffff_ffff,
        ] as [UInt32])
    func length(bytes: UInt32) throws {
        let ring = try Breakable()
        ring.writeTable([Descriptor(address: ring.data, length: 16)], at: ring.data + 4096)
        ring.offerTable(ring.data + 4096, bytes: bytes)
        try ring.expectRefused(.indirectLength(head: 1, bytes: bytes))
    }

    @Test("A table beside a link is refused", arguments: [0, Flag.write])
    func withNext(extra: UInt16) throws {
        let ring = try Breakable()
        ring.writeTable([Descriptor(address: ring.data, length: 16)], at: ring.data + 4096)
        ring.offerTable(ring.data + 4096, bytes: 16, flags: Flag.indirect | Flag.next | extra)
        try ring.expectRefused(.indirectWithNext(head: 1))
    }

    @Test("A table in a table is refused, wherever it is", arguments: 0..<4)
    func nested(place: Int) throws {
        let ring = try Breakable()
        var entries = (0..<4).map { DriverBuffer.readable(ring.data + UInt64($0 * 32), 16) }.table
        entries[place] = Descriptor(
            address: ring.data + 4096, length: 16, flags: entries[place].flags | Flag.indirect,
            next: entries[place].next)
        ring.writeTable(entries, at: ring.data + 4096)
        ring.offerTable(ring.data + 4096, bytes: 64)
        try ring.expectRefused(.nestedIndirect(head: 1))
    }

    @Test(
        // The last entry's would be one step too many besides.
        "A link out of the table is refused, though the ring be longer",
        arguments: [1, 2], [4, 5, 7, 8, 0xffff] as [UInt16])
    func nextOutOfRange(depth: Int, next: UInt16) throws {
        let ring = try Breakable()
        var entries = (0..<4).map { DriverBuffer.readable(ring.data + UInt64($0 * 32), 16) }.table
        entries[depth] = Descriptor(
            address: ring.data, length: 16, flags: Flag.next, next: next)
        ring.writeTable(entries, at: ring.data + 4096)
        ring.offerTable(ring.data + 4096, bytes: 64)
        try ring.expectRefused(.nextOutOfRange(head: 1, next: next))
    }

    @Test(
        "A table that goes in a circle is refused, whatever the circle's length",
        arguments: [1, 2, 5, 6] as [UInt16], [Flag.next, Flag.next | Flag.write])
    func circle(length: UInt16, flags: UInt16) throws {
        let ring = try Breakable()
        let entries = (0..<6).map { place in
            Descriptor(
                address: ring.data, length: 1, flags: flags,
                next: place == 5 ? 6 - length : place + 1)
        }
        ring.writeTable(entries, at: ring.data + 4096)
        ring.offerTable(ring.data + 4096, bytes: 96)
        try ring.expectRefused(.chainTooLong(head: 1))
    }

    @Test("A buffer to read after one to write is refused", arguments: ["WR", "RWR", "WWWR"])
    func readableAfterWritable(order: String) throws {
        let ring = try Breakable()
        let entries = order.map { DriverBuffer.of($0, ring.data, 16) }.table
        ring.writeTable(entries, at: ring.data + 4096)
        ring.offerTable(ring.data + 4096, bytes: UInt32(entries.count * 16))
        try ring.expectRefused(.readableAfterWritable(head: 1))
    }

    @Test("A buffer to read in a table after one to write before it is refused")
    func readableAfterWritableBefore() throws {
        let ring = try Breakable()
        ring.writeTable([Descriptor(address: ring.data, length: 16)], at: ring.data + 4096)
        ring.offerMixed([.writable(ring.data, 16)], table: ring.data + 4096, bytes: 16)
        try ring.expectRefused(.readableAfterWritable(head: 1))
    }

    @Test(
        "A table with a byte outside the memory is refused",
        arguments: [
            0x80_0000, 0x7f_ffd1, 0x7f_fff0, 0x1_0000_0000, 0x7fff_ffff_ffff_fff0,
            0xffff_ffff_ffff_ffd0, 0xffff_ffff_ffff_fff0, 0xffff_ffff_ffff_ffff,
        ] as [UInt64])
    func unmapped(address: UInt64) throws {
        let ring = try Breakable()  // 8 MiB from address 0 on.
        ring.offerTable(address, bytes: 48)
        try ring.expectRefused(.unmapped(head: 1, address: address, bytes: 48))
    }

    @Test("A table that reaches over a gap in the memory is refused")
    func overGap() throws {
        let ram = try GuestRAM([
            .init(guestAddress: 0, byteCount: 1 << 20),
            .init(guestAddress: 0x10_1000, byteCount: 1 << 20),
        ])
        let ring = try Breakable(ram: ram)
        ring.offerTable(0x10_0000 - 16, bytes: 0x1000 + 32)
        try ring.expectRefused(.unmapped(head: 1, address: 0x10_0000 - 16, bytes: 0x1020))
    }

    // What is unusual and right.

    @Test("A table may cross from one region into the next, at any byte of it", arguments: 1..<48)
    func straddling(before: UInt64) throws {
        let ram = try GuestRAM([
            .init(guestAddress: 0, byteCount: 1 << 20),
            .init(guestAddress: 0x10_0000, byteCount: 1 << 20),
        ])
        let ring = try Breakable(ram: ram)
        let address = 0x10_0000 - before
        let buffers: [DriverBuffer] = [
            .readable(ring.data, 11), .readable(ring.data + 100, 22),
            .writable(ring.data + 200, 44),
        ]
        ring.writeTable(buffers.table, at: address)
        ring.offerTable(address, bytes: 48)
        #expect(try #require(try ring.bench.takeOne()) == (33, 44))
    }

    @Test("A table may begin at any address", arguments: 0..<16 as Range<UInt64>)
    func misaligned(offset: UInt64) throws {
        let ring = try Breakable()
        let address = ring.data + 4096 + offset
        let buffers: [DriverBuffer] = [.readable(ring.data, 11), .writable(ring.data + 200, 44)]
        ring.writeTable(buffers.table, at: address)
        ring.offerTable(address, bytes: 32)
        #expect(try #require(try ring.bench.takeOne()) == (11, 44))
    }

    @Test("A table's entries may be linked in any order, and not all be used")
    func anyOrder() throws {
        let ring = try Breakable()
        ring.writeTable(
            [
                Descriptor(address: ring.data, length: 1, flags: Flag.next, next: 3),
                Descriptor(address: 0xdead_0000_0000, length: 2, flags: Flag.indirect),
                Descriptor(address: ring.data + 20, length: 4, flags: Flag.write),
                Descriptor(address: ring.data + 10, length: 8, flags: Flag.next, next: 2),
            ], at: ring.data + 4096)
        ring.offerTable(ring.data + 4096, bytes: 64)
        #expect(try #require(try ring.bench.takeOne()) == (9, 4))
    }

    @Test("A head's WRITE flag says nothing about its table")
    func writeFlagOfHead() throws {
        let ring = try Breakable()
        ring.writeTable([Descriptor(address: ring.data, length: 5)], at: ring.data + 4096)
        ring.offerTable(
            ring.data + 4096, bytes: 16, flags: Flag.indirect | Flag.write)
        #expect(try #require(try ring.bench.takeOne()) == (5, 0))
    }

    @Test(
        "Every one of a long table's buffers is the device's", arguments: [2, 515, 600, 1023, 1024])
    func long(count: Int) throws {
        // A ring far shorter than the table: guests do that, and QEMU lets them.
        let ring = try Breakable(size: 2)
        let ram = ring.driver.ram
        ram.fill(0xee, count: count * 2, at: ring.data)
        let buffers = (0..<count).map { DriverBuffer.writable(ring.data + UInt64($0 * 2), 1) }
        let table = ram.allocate(count * 16)
        ring.writeTable(buffers.table, at: table)
        ring.offerTable(table, bytes: UInt32(count * 16))
        #expect(try #require(try ring.bench.takeOne()) == (0, count))
        #expect(ring.bench.buffers.writable.count == count)
        let pattern = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        ring.bench.buffers.writable.write(pattern.span, at: 0)
        let expected = pattern.flatMap { [$0, 0xee] as [UInt8] }
        #expect(ram.read(count * 2, at: ring.data) == expected)
    }

    @Test("Descriptors of the ring may come before a table", arguments: 1...6)
    func mixed(direct: Int) throws {
        let ring = try Breakable()
        let rest: [DriverBuffer] = [.readable(ring.data + 600, 16), .writable(ring.data + 700, 5)]
        ring.writeTable(rest.table, at: ring.data + 4096)
        let before = (0..<direct).map { DriverBuffer.readable(ring.data + UInt64($0 * 32), 3) }
        ring.offerMixed(before, table: ring.data + 4096, bytes: 32)
        #expect(try #require(try ring.bench.takeOne()) == (direct * 3 + 16, 5))
    }
}

extension Breakable {
    /// Makes a chain available that begins at 1 with `buffers` and ends with a table.
    func offerMixed(_ buffers: [DriverBuffer], table: UInt64, bytes: UInt32) {
        for (place, buffer) in buffers.enumerated() {
            let index = UInt16(place + 1)
            driver.setDescriptor(index, buffer.descriptor(next: index + 1))
        }
        driver.setDescriptor(
            UInt16(buffers.count + 1),
            Descriptor(address: table, length: bytes, flags: Flag.indirect))
        bench.makeAvailable(1)
    }
}
