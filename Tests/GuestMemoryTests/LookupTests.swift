import GuestMemory
import Host
import Randomness
import Testing
import VirtioSpec

@Suite("Any number of regions: the right bytes, or none")
struct LookupTests {
    /// 509 regions of one to three pages of one file, some of which touch; region n's bytes are
    /// found by its file offset, which is nowhere near its guest address.
    fileprivate struct Model {
        let regions: [MemoryRegion]
        var random = Seeded()

        init() {
            var next: UInt64 = 0x10_0000
            var made: [MemoryRegion] = []
            for number in 0..<509 as Range<UInt64> {
                let count = UInt64.random(in: 1...3, using: &random) << 12
                next += Bool.random(using: &random) ? 0 : UInt64.random(in: 1...9, using: &random)
                made.append(
                    .at(next, count, user: number << 32, offset: (509 - number) * 3 << 12))
                next += count
            }
            regions = made
        }

        /// The file offset of a guest address, by looking at one region after the other.
        func offset(_ address: UInt64) -> UInt64? {
            regions.first { ($0.guestAddress..<$0.guestAddress + $0.byteCount).contains(address) }
                .map { $0.fileOffset + address - $0.guestAddress }
        }

        /// Every region's first and last address and its neighbours', in an order of chance.
        mutating func edges() -> [UInt64] {
            regions.flatMap { region in
                let end = region.guestAddress + region.byteCount
                return [region.guestAddress - 1, region.guestAddress, end - 1, end]
            }.shuffled(using: &random)
        }
    }

    private static let fileBytes = 512 * 3 << 12

    /// Every page's bytes say which page it is and where in it they are.
    private static func memory() throws -> SharedMemory {
        let memory = try SharedMemory(count: fileBytes)
        for offset in stride(from: 0, to: fileBytes, by: 4096) {
            memory.mapping.store64(UInt64(offset), at: offset)
            memory.mapping.store64(~UInt64(offset), at: offset + 4088)
        }
        return memory
    }

    private static func map(_ model: inout Model, _ file: borrowing OwnedFD) throws -> GuestMap {
        var map = GuestMap.empty
        for region in model.regions.shuffled(using: &model.random) {
            map = try map.adding(region, file: file)
        }
        return map
    }

    @Test("First and last bytes of 509 regions, and what lies between them")
    func edges() throws {
        var model = Model()
        let file = try Self.memory()
        let map = try Self.map(&model, file.descriptor)
        #expect(map.regions == model.regions, "\(model.random.note)")
        var memory = GuestMemory(map)
        var buffers = IOVectors(capacity: 4)
        let copy = try Mapping.anonymous(count: 1)
        for address in model.edges() {
            let expected = model.offset(address).map { file.mapping.bytes(at: Int($0), count: 1) }
            buffers.removeAll()
            let found = memory.append(address, 1, to: &buffers)
            copy.fill(0xee, at: 0, count: 1)
            buffers.drain(at: 0, into: copy, at: 0, count: 1)
            let got = found == .found ? copy.bytes(at: 0, count: 1) : nil
            #expect(got == expected, "address \(address), \(model.random.note)")
        }
    }

    @Test("Ranges of chance are found whole or not at all")
    func ranges() throws {
        var model = Model()
        let file = try Self.memory()
        var memory = GuestMemory(try Self.map(&model, file.descriptor))
        var buffers = IOVectors(capacity: 16)
        let copy = try Mapping.anonymous(count: 16384)
        let low = model.regions[0].guestAddress - 100
        let high = model.regions[508].guestAddress + 3 * 4096
        for _ in 0..<300 {
            let address = UInt64.random(in: low...high, using: &model.random)
            let count = Int.random(in: 1...16384, using: &model.random)

            let cuts = model.cuts(address, count)
            let places = cuts.map { model.offset($0.start) }
            let expected: [UInt8]? =
                places.contains(nil)
                ? nil
                : zip(places, cuts).flatMap { place, cut in
                    file.mapping.bytes(at: Int(place ?? 0), count: cut.count)
                }
            buffers.removeAll()
            let found = memory.append(address, UInt32(count), to: &buffers)
            buffers.drain(at: 0, into: copy, at: 0, count: min(count, buffers.byteCount))
            let got = found == .found ? copy.bytes(at: 0, count: count) : nil
            #expect(got == expected, "\(address)+\(count), \(model.random.note)")
        }
    }

    @Test("A list that has no room for another buffer says so")
    func full() throws {
        let file = try Self.memory()
        let map = try GuestMap.empty.adding(.at(0, 0x2000), file: file.descriptor)
        var memory = GuestMemory(map)
        var buffers = IOVectors(capacity: 2)
        #expect(memory.append(0x0, 1, to: &buffers) == .found)
        #expect(memory.append(0x10, 1, to: &buffers) == .found)
        #expect(memory.append(0x20, 1, to: &buffers) == .full)
        #expect(memory.append(0x11, 1, to: &buffers) == .found)
        #expect(memory.append(0x9999, 0, to: &buffers) == .found)
        #expect(buffers.byteCount == 3)
    }

    @Test("No memory holds nothing")
    func none() {
        var memory = GuestMemory(.empty)
        var buffers = IOVectors(capacity: 2)
        for address in [0, 1, 0x7fff_ffff_ffff_ffff, UInt64.max] {
            #expect(memory.append(address, 1, to: &buffers) == .unmapped)
        }
    }
}

extension LookupTests.Model {
    /// The range in pieces that each lie in one region or in none: cut wherever one begins or ends.
    fileprivate func cuts(_ address: UInt64, _ count: Int) -> [(start: UInt64, count: Int)] {
        let end = address + UInt64(count)
        let borders = regions.flatMap { [$0.guestAddress, $0.guestAddress + $0.byteCount] }
        let marks = Set(borders.filter { $0 > address && $0 < end } + [address, end]).sorted()
        return zip(marks, marks.dropFirst()).map { ($0, Int($1 - $0)) }
    }
}
