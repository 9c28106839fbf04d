import Host
import Testing
import VhostUserFrontend

/// A device's side of a packed ring, as small as it can be and with the spec's numbers written out:
/// what it and our driver disagree about, one of them has wrong.
struct PackedDevice {
    struct Taken {
        var id: UInt16
        /// Descriptors in the ring.
        var count: UInt16
        var buffers: [DriverBuffer]
    }

    let driver: PackedDriverQueue
    /// Slot and wrap counter, of what comes next and of what is given back next.
    var next: (slot: UInt16, wrap: Bool)
    var used: (slot: UInt16, wrap: Bool)

    init(_ driver: PackedDriverQueue) {
        self.driver = driver
        next = (UInt16(driver.start & 0x7fff), driver.start >> 15 & 1 == 1)
        used = (UInt16(driver.start >> 16 & 0x7fff), driver.start >> 31 == 1)
    }

    private func step(_ place: inout (slot: UInt16, wrap: Bool), _ count: UInt16) {
        for _ in 0..<count {
            place.slot += 1
            if place.slot == driver.size { place = (0, !place.wrap) }
        }
    }

    private func read(_ address: UInt64) -> (DriverBuffer, id: UInt16, flags: UInt16) {
        let (memory, at, _) = driver.ram.place(address)
        let flags = memory.load16(at: at + 14, acquiring: true)
        let buffer = DriverBuffer(
            address: memory.load64(at: at), length: memory.load32(at: at + 8),
            isWritable: flags & 2 != 0)
        return (buffer, memory.load16(at: at + 12), flags)
    }

    private func address(_ slot: UInt16) -> UInt64 { driver.descriptors + UInt64(slot) * 16 }

    var hasAvailable: Bool {
        let flags = read(address(next.slot)).flags
        return (flags & 0x80 != 0) == next.wrap && (flags & 0x8000 != 0) != next.wrap
    }

    /// The next chain; nil where there is none.
    mutating func take() -> Taken? {
        guard hasAvailable else { return nil }
        var taken = Taken(id: 0, count: 0, buffers: [])
        while true {
            let (buffer, id, flags) = read(address(next.slot))
            #expect(((flags & 0x80 != 0), (flags & 0x8000 != 0)) == (next.wrap, !next.wrap))
            step(&next, 1)
            taken.count += 1
            taken.id = id
            if flags & 4 != 0 {
                #expect(flags & 3 == 0)
                for entry in stride(from: 0, to: UInt64(buffer.length), by: 16) {
                    let (inner, _, flags) = read(buffer.address + entry)
                    #expect(flags & ~2 == 0)
                    taken.buffers.append(inner)
                }
            } else {
                taken.buffers.append(buffer)
            }
            if flags & 1 == 0 { return taken }
        }
    }

    /// The next chain, which must be there.
    mutating func takeOne() throws -> Taken {
        let taken = take()
        return try #require(taken)
    }

    /// Gives a chain back; `descriptors` more than its own where it stands for others before it.
    mutating func complete(_ id: UInt16, _ descriptors: UInt16, written: UInt32) {
        let (memory, at, _) = driver.ram.place(address(used.slot))
        memory.store32(written, at: at + 8)
        memory.store16(id, at: at + 12)
        let marks: UInt16 = used.wrap ? 0x8080 : 0
        memory.store16(marks | (written > 0 ? 2 : 0), at: at + 14, releasing: true)
        step(&used, descriptors)
    }
}
