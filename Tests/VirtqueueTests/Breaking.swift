import GuestMemory
import Testing
import VhostUserFrontend
import VirtioSpec
import Virtqueue

/// A ring with one good chain in flight, whose head is 0, and data at hand to break it with.
struct Breakable {
    let bench: RingBench
    /// 64 KiB of guest memory that nothing else uses.
    let data: UInt64
    fileprivate let good: Held

    var driver: SplitDriverQueue { bench.split }

    /// The good chain lies at the last index before zero, so that what follows has wrapped around.
    init(size: UInt16 = 8, ram: GuestRAM? = nil, indirect: Bool = false) throws {
        bench = try RingBench(size: size, indirect: indirect, start: 0xffff, ram: ram)
        data = bench.driver.ram.allocate(65536, alignment: 4096)
        let buffers: [DriverBuffer] =
            indirect ? [.readable(data, 16), .writable(data + 16, 16)] : [.writable(data, 16)]
        #expect(bench.driver.offer(buffers, token: 7) == 0)
        bench.driver.publish()
        good = try #require(try bench.hold())
    }

    /// Makes a chain of `links` available: descriptor `links[n].index` as given, linked to the
    /// next one's index; the last links to nothing.
    func offer(_ links: [(index: UInt16, DriverBuffer)]) {
        for (place, link) in links.enumerated() {
            let next = place + 1 < links.count ? links[place + 1].index : nil
            driver.setDescriptor(link.index, link.1.descriptor(next: next))
        }
        bench.makeAvailable(links[0].index)
    }

    /// Makes a chain available that is nothing but a table of `bytes` bytes, under head 1.
    func offerTable(_ address: UInt64, bytes: UInt32, flags: UInt16 = Flag.indirect) {
        driver.setDescriptor(
            1, Descriptor(address: address, length: bytes, flags: flags, next: 2))
        bench.makeAvailable(1)
    }

    /// Writes descriptors one after the other from `address` on.
    func writeTable(_ entries: [Descriptor], at address: UInt64) {
        for (place, entry) in entries.enumerated() {
            driver.writeDescriptor(entry, at: address + UInt64(place) * 16)
        }
    }

    /// The device must refuse what it finds with just this violation, stay latched though the ring
    /// is mended, and still give back what was in flight.
    func expectRefused(
        _ violation: QueueViolation, _ comment: Comment? = nil,
        at place: SourceLocation = #_sourceLocation
    ) throws {
        let bench = bench
        #expect(throws: violation, comment, sourceLocation: place) { try bench.takeOne() }
        mend()
        for _ in 0..<3 {
            let taken = try bench.hold()
            #expect(taken == nil, comment, sourceLocation: place)
        }
        #expect(bench.queue.violation == violation, comment, sourceLocation: place)
        let isWaiting = bench.queue.hasAvailable()
        #expect(!isWaiting, comment, sourceLocation: place)
        let mustLook = bench.queue.requestKicks()
        #expect(!mustLook, comment, sourceLocation: place)
        #expect(bench.queue.inFlight == 1, comment, sourceLocation: place)
        good.complete(written: 16)
        let wantsCall = bench.publish()
        #expect(wantsCall, comment, sourceLocation: place)
        let done = try bench.driver.reap()
        #expect(done?.token == 7 && done?.written == 16, comment, sourceLocation: place)
        #expect(try bench.driver.reap() == nil, comment, sourceLocation: place)
    }

    /// Gives the good chain back, for a test in which nothing is refused.
    func finish() { good.complete(written: 0) }

    /// A ring as good as new, with one fine chain waiting where the device would look next.
    private func mend() {
        for index in 0..<driver.size {
            driver.setDescriptor(
                index, Descriptor(address: data, length: 16, flags: Flag.write))
        }
        driver.setAvailable(0, head: 1)
        driver.setAvailableIndex(1)
    }
}

extension DriverBuffer {
    func descriptor(next: UInt16?) -> Descriptor {
        let flags = (isWritable ? Flag.write : 0) | (next == nil ? 0 : Flag.next)
        return Descriptor(address: address, length: length, flags: flags, next: next ?? 0)
    }
}

extension [DriverBuffer] {
    /// The buffers as one table, each entry linked to the one after it.
    var table: [Descriptor] {
        enumerated().map { place, buffer in
            buffer.descriptor(next: place + 1 < count ? UInt16(place + 1) : nil)
        }
    }
}
