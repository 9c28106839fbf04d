import BlockStores
import Host
import Randomness
import Testing
import VhostUserFrontend
import VirtioBlock
import VirtioSpec

@Suite("Whatever is asked in whatever order, the disk holds what was written last")
struct VerifyTests {
    @Test(
        "Four queues of random requests agree with a model of the disk, in memory",
        arguments: RingShape.all)
    func memory(shape: RingShape) throws {
        let backend = try Backend()
        let verifier = try Verifier(backend, shape)
        try verifier.run(requests: 1000)
        #expect(verifier.mismatches == 0, "seed \(verifier.seed)")
        #expect(try verifier.wholeDiskAgrees(), "seed \(verifier.seed)")
    }

    @Test(
        "Four queues of random requests agree with a model of the disk, in a file",
        arguments: RingShape.outOfOrder)
    func file(shape: RingShape) throws {
        let file = try TemporaryFile(byteCount: 8 << 20)
        let backend = try Backend(
            RawLane.self, try RawStore(path: file.path),
            BlockOptions(byteCount: 8 << 20, queueCount: 4))
        let verifier = try Verifier(backend, shape)
        try verifier.run(requests: 1000)
        #expect(verifier.mismatches == 0, "seed \(verifier.seed)")
        #expect(try verifier.wholeDiskAgrees(), "seed \(verifier.seed)")
    }
}

/// Sixteen requests in flight on each of four queues, random in kind, place, length and cut. Each
/// slot has a part of the disk to itself, so that what it must read is known.
final class Verifier {
    private static let queues = 4
    private static let depth = 16
    private static let partSectors = 128
    private static let mostSectors = 24

    private struct Slot {
        let queue: Int
        let firstSector: Int
        /// Header at 0, status at 16, data from 512 on.
        let place: UInt64
        /// What the slot's part of the disk holds.
        var model = [UInt8](repeating: 0, count: partSectors * 512)
        var type: UInt32 = 0
        var sector = 0
        var bytes = 0
    }

    private let driver: BlockDriver
    private var slots: [Slot] = []
    private var noise = Seeded()
    private(set) var mismatches = 0
    var seed: UInt64 { noise.seed }

    init(_ backend: Backend, _ shape: RingShape) throws {
        driver = try backend.driver(memory: 32 << 20) {
            $0.queues = Self.queues
            $0.queueSize = 256
            shape.apply(to: &$0)
        }
        for number in 0..<Self.queues * Self.depth {
            slots.append(
                Slot(
                    queue: number / Self.depth, firstSector: number * Self.partSectors,
                    place: driver.ram.allocate(512 + Self.mostSectors * 512, alignment: 512)))
        }
        print("verify: RINGWAY_SEED=\(noise.seed)")
    }

    /// Runs so many requests and waits for the last of them.
    func run(requests: Int) throws {
        var left = requests
        for number in slots.indices {
            offer(number)
            left -= 1
        }
        for queue in driver.queues { queue.submit() }
        while driver.queues.contains(where: { $0.inFlight > 0 }) {
            var worked = false
            for queue in driver.queues {
                while let done = try queue.reap() {
                    worked = true
                    finish(Int(done.token), written: done.written)
                    if left > 0 { offer(Int(done.token)) }
                    left -= 1
                }
                queue.submit()
            }
            if !worked { try wait() }
        }
    }

    private func wait() throws {
        var set = PollSet()
        for queue in driver.queues {
            if queue.inFlight > 0, queue.armCall() { return }
            set.add(queue.call.descriptor.raw)
        }
        guard set.wait(milliseconds: 10_000) > 0 else { throw FrontendError.timedOut }
        for queue in driver.queues { _ = queue.takeCall() }
    }

    private func offer(_ number: Int) {
        let types = [
            BlockRequestType.in, BlockRequestType.in, BlockRequestType.out, BlockRequestType.out,
            BlockRequestType.flush, BlockRequestType.discard, BlockRequestType.writeZeroes,
            BlockRequestType.writeZeroes,
        ]
        let type = types[Int.random(in: 0..<types.count, using: &noise)]
        let sectors = Int.random(in: 1...Self.mostSectors, using: &noise)
        let sector = Int.random(in: 0...Self.partSectors - sectors, using: &noise)
        slots[number].type = type
        slots[number].sector = sector
        slots[number].bytes = sectors * 512
        let place = slots[number].place
        let onDisk = UInt64(slots[number].firstSector + sector)
        driver.ram.write(Bytes.of(type) + Bytes.of(UInt32(0)) + Bytes.of(onDisk), at: place)
        driver.ram.write([BlockDriver.untouchedStatus], at: place + 16)
        var buffers = [DriverBuffer.readable(place, 16)]
        switch type {
        case BlockRequestType.in:
            driver.ram.fill(0x77, count: sectors * 512, at: place + 512)
            buffers += pieces(place + 512, sectors * 512, DriverBuffer.writable)
        case BlockRequestType.out:
            driver.ram.write(noise.bytes(8), at: place + 512)
            let fill = UInt8(truncatingIfNeeded: noise.next() >> 40)
            driver.ram.fill(fill, count: sectors * 512 - 8, at: place + 520)
            buffers += pieces(place + 512, sectors * 512, DriverBuffer.readable)
        case BlockRequestType.discard, BlockRequestType.writeZeroes:
            let flags: UInt32 = type == BlockRequestType.discard ? 0 : UInt32(noise.next() >> 63)
            let first = sectors / 2
            let ranges = [
                SectorRange(onDisk, UInt32(first), flags: flags),
                SectorRange(onDisk + UInt64(first), UInt32(sectors - first), flags: flags),
            ]
            driver.ram.write(BlockDriver.encode(ranges), at: place + 512)
            buffers += pieces(place + 512, 32, DriverBuffer.readable)
        default: break
        }
        buffers.append(.writable(place + 16, 1))
        let isIn = driver.queues[slots[number].queue].offer(buffers, token: UInt64(number)) != nil
        precondition(isIn, "a queue of 256 holds 16 requests of at most 8 buffers")
    }

    /// Cuts a buffer into up to six at random places.
    private func pieces(
        _ address: UInt64, _ count: Int, _ make: (UInt64, Int) -> DriverBuffer
    ) -> [DriverBuffer] {
        let cuts = (0..<Int.random(in: 0...5, using: &noise))
            .map { _ in Int.random(in: 1..<count, using: &noise) }
        let ends = [0] + cuts.sorted() + [count]
        return zip(ends, ends.dropFirst()).map { make(address + UInt64($0), $1 - $0) }
    }

    private func finish(_ number: Int, written: UInt32) {
        let slot = slots[number]
        let range = slot.sector * 512..<slot.sector * 512 + slot.bytes
        var isRight = driver.ram.read(1, at: slot.place + 16) == [0]
        switch slot.type {
        case BlockRequestType.in:
            let data = driver.ram.read(slot.bytes, at: slot.place + 512)
            isRight = isRight && data == Array(slot.model[range])
            isRight = isRight && Int(written) == slot.bytes + 1
        case BlockRequestType.out:
            let data = driver.ram.read(slot.bytes, at: slot.place + 512)
            slots[number].model.replaceSubrange(range, with: data)
            isRight = isRight && written == 1
        case BlockRequestType.flush: isRight = isRight && written == 1
        // Both stores read as zero what was discarded, though a device need not.
        default:
            let zeroes = repeatElement(UInt8(0), count: slot.bytes)
            slots[number].model.replaceSubrange(range, with: zeroes)
            isRight = isRight && written == 1
        }
        if !isRight { mismatches += 1 }
    }

    /// Whether every slot's part of the disk reads as its model says.
    func wholeDiskAgrees() throws -> Bool {
        for slot in slots {
            let count = Self.partSectors * 512
            let answer = try driver.read(sector: UInt64(slot.firstSector), count: count)
            if answer.status != 0 || answer.data != slot.model { return false }
        }
        return true
    }
}
