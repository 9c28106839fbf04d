import Host
import Randomness
import Testing
import VhostUserFrontend
import VirtioSpec

@Suite("The driver's side of packed rings")
struct PackedDriverTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var size: UInt16
        var indirect = false
        var eventIndex = true
        var inOrder = false
        var testDescription: String {
            "\(size)\(indirect ? " indirect" : "")\(eventIndex ? " events" : "")"
                + (inOrder ? " in order" : "")
        }
    }

    static let cases: [Case] = [1, 2, 3, 5, 8, 37, 256, 1000].flatMap { size in
        [
            Case(size: size), Case(size: size, indirect: true),
            Case(size: size, eventIndex: false), Case(size: size, inOrder: true),
            Case(size: size, indirect: true, eventIndex: false, inOrder: true),
        ]
    }

    @Test("Chains of every length, back in any order, round and round", arguments: cases)
    func traffic(shape: Case) throws {
        for stream in 0..<4 {
            var traffic = try Traffic(shape, Seeded(stream * 100 + Int(shape.size)))
            try traffic.run(chains: 600)
        }
    }

    @Test("A full ring of the largest size, one descriptor each, and again")
    func largest() throws {
        let ram = try GuestRAM(byteCount: 4 << 20)
        let driver = try PackedDriverQueue(ram, size: 32_768)
        var device = PackedDevice(driver)
        let data = ram.allocate(16)
        for _ in 0..<2 {
            for token in 0..<32_768 as Range<UInt64> {
                #expect(driver.offer([.readable(data, 16)], token: token) != nil)
            }
            #expect(driver.offer([.readable(data, 16)], token: 0) == nil)
            driver.publish()
            var count: UInt64 = 0
            while let taken = device.take() {
                device.complete(taken.id, taken.count, written: 0)
                let done = try driver.reap()
                #expect(done?.token == count)
                count += 1
            }
            #expect(count == 32_768)
        }
        #expect(driver.inFlight == 0)
    }

    @Test("Nothing is seen before it is published, and then all of it", arguments: [false, true])
    func publishing(wrap: Bool) throws {
        let ram = try GuestRAM(byteCount: 1 << 20)
        let start = PackedRingBase(at: 5, wrap: wrap).rawValue
        let driver = try PackedDriverQueue(ram, size: 7, start: start)
        var device = PackedDevice(driver)
        let data = ram.allocate(64)
        #expect(!device.hasAvailable)
        #expect(try driver.reap() == nil)
        _ = driver.offer([.readable(data, 4), .writable(data + 4, 8)], token: 1)
        _ = driver.offer([.readable(data, 4), .writable(data + 8, 8)], token: 2)
        #expect(!device.hasAvailable)
        driver.publish()
        let first = try device.takeOne()
        #expect(first.buffers == [.readable(data, 4), .writable(data + 4, 8)])
        let second = try device.takeOne()
        #expect(second.buffers == [.readable(data, 4), .writable(data + 8, 8)])
        #expect(!device.hasAvailable && first.id != second.id)
        device.complete(second.id, 2, written: 3)
        #expect(try #require(try driver.reap()) == (2, 3))
        #expect(try driver.reap() == nil)
    }

    @Test("A chain is refused where descriptors are short, not where ids are")
    func room() throws {
        let ram = try GuestRAM(byteCount: 1 << 20)
        let driver = try PackedDriverQueue(ram, size: 4)
        let pair: [DriverBuffer] = [.readable(0, 1), .writable(1, 1)]
        #expect(driver.offer(pair + pair + [.writable(8, 1)], token: 0) == nil)
        #expect(driver.offer([], token: 0) == nil)
        #expect(driver.offer(pair + [.writable(8, 1)], token: 0) != nil)
        #expect(driver.offer(pair, token: 1) == nil)
        #expect(driver.offer([.readable(0, 1)], token: 2) != nil)
        #expect(driver.offer([.readable(0, 1)], token: 3) == nil)
    }

    @Test("The base of a packed ring as messages carry it")
    func base() {
        #expect(PackedRingBase.fresh.rawValue == 0x8000_8000)
        let base = PackedRingBase(rawValue: 0x8003_0004)
        #expect(base.availableIndex == 4 && !base.availableWrap)
        #expect(base.usedIndex == 3 && base.usedWrap)
        for raw in [0, 0x7fff, 0x8000, 0xffff_ffff, 0x1234_5678] as [UInt32] {
            #expect(PackedRingBase(rawValue: raw).rawValue == raw)
        }
    }
}

/// A driver and a device that do as chance tells them, and a book of what each must see.
private struct Traffic {
    struct Book {
        var buffers: [DriverBuffer]
        var written: UInt32?
    }

    let driver: PackedDriverQueue
    let shape: PackedDriverTests.Case
    var device: PackedDevice
    var random: Seeded
    /// By token, which counts up.
    var books: [UInt64: Book] = [:]
    var tokens: [UInt16: UInt64] = [:]
    var held: [PackedDevice.Taken] = []
    var offered: UInt64 = 0
    var reaped: UInt64 = 0

    init(_ shape: PackedDriverTests.Case, _ random: Seeded) throws {
        self.shape = shape
        self.random = random
        let ram = try GuestRAM(byteCount: 4 << 20)
        let slot = UInt16.random(in: 0..<shape.size, using: &self.random)
        let wrap = Bool.random(using: &self.random)
        driver = try PackedDriverQueue(
            ram, size: shape.size,
            DriverQueue.Options(
                eventIndex: shape.eventIndex, indirect: shape.indirect, inOrder: shape.inOrder),
            start: PackedRingBase(at: slot, wrap: wrap).rawValue)
        device = PackedDevice(driver)
    }

    mutating func run(chains: UInt64) throws {
        var idle = 0
        while reaped < chains {
            let before = (offered, reaped, held.count)
            offer(upTo: chains)
            take()
            complete()
            try reap()
            idle = before == (offered, reaped, held.count) ? idle + 1 : 0
            try #require(idle < 1000, "nothing moves; \(random.note)")
        }
        #expect(driver.inFlight == 0 && books.isEmpty, "\(random.note)")
        #expect(driver.availablePosition.slot == device.next.slot, "\(random.note)")
        #expect(driver.usedPosition == driver.availablePosition, "\(random.note)")
    }

    private mutating func offer(upTo chains: UInt64) {
        for _ in 0..<Int.random(in: 0...4, using: &random) where offered < chains {
            let most = shape.indirect ? 20 : min(6, Int(shape.size))
            let buffers = (0..<Int.random(in: 1...most, using: &random)).map { _ in
                DriverBuffer(
                    address: random.next() >> 20, length: UInt32.random(in: 0...99, using: &random),
                    isWritable: Bool.random(using: &random))
            }
            guard let id = driver.offer(buffers, token: offered) else { break }
            #expect(id < shape.size && tokens[id] == nil, "\(random.note)")
            tokens[id] = offered
            books[offered] = Book(buffers: buffers)
            offered += 1
        }
        if Bool.random(using: &random) { driver.publish() }
    }

    private mutating func take() {
        while Bool.random(using: &random), let taken = device.take() {
            let token = tokens[taken.id]
            let book = token.flatMap { books[$0] }
            let isSame = book?.buffers == taken.buffers
            #expect(isSame, "\(random.note)")
            held.append(taken)
        }
    }

    private mutating func complete() {
        while !held.isEmpty, Int.random(in: 0..<3, using: &random) > 0 {
            if shape.inOrder {
                // All up to one of them, by the last one's name, at the first one's place.
                let some = Int.random(in: 1...held.count, using: &random)
                let batch = Array(held.prefix(some))
                for taken in batch.dropLast() { note(taken, written: writable(taken)) }
                let last = batch[some - 1]
                finish(last, batch.reduce(0) { $0 + $1.count })
                held.removeFirst(some)
            } else {
                let taken = held.remove(at: Int.random(in: held.indices, using: &random))
                finish(taken, taken.count)
            }
        }
    }

    private func writable(_ taken: PackedDevice.Taken) -> UInt32 {
        taken.buffers.reduce(0) { $0 + ($1.isWritable ? $1.length : 0) }
    }

    private mutating func finish(_ taken: PackedDevice.Taken, _ descriptors: UInt16) {
        let written = UInt32.random(in: 0...writable(taken), using: &random)
        note(taken, written: written)
        device.complete(taken.id, descriptors, written: written)
    }

    private mutating func note(_ taken: PackedDevice.Taken, written: UInt32) {
        guard let token = tokens[taken.id] else { return }
        books[token]?.written = written
        tokens[taken.id] = nil
    }

    private mutating func reap() throws {
        while let done = try driver.reap() {
            let book = books.removeValue(forKey: done.token)
            #expect(book?.written == done.written, "\(random.note)")
            if shape.inOrder { #expect(done.token == reaped, "\(random.note)") }
            reaped += 1
        }
    }
}
