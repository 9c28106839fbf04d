import GuestMemory
import Host
import Testing
import VirtioSpec

@Suite("A ring is placed where all of it is memory, aligned as the spec demands, or nowhere")
struct PlacementTests {
    // Two regions whose user addresses touch, one far away. User addresses are not guest addresses.
    private static let regions: [MemoryRegion] = [
        .at(0x8000, 0x4000, user: 0x10_0000), .at(0, 0x4000, user: 0x10_4000, offset: 0x4000),
        .at(0x20_0000, 0x4000, user: 0x40_0000, offset: 0x8000),
    ]

    private static func fault(
        descriptors: UInt64 = 0x10_0000, available: UInt64 = 0x10_1000, used: UInt64 = 0x10_2000,
        size: UInt32 = 8
    ) throws -> RingPlacementFault? {
        let file = try MemoryFile(0x10000)
        var map = GuestMap.empty
        for region in regions { map = try map.adding(region, file: file.descriptor) }
        let addresses = RingAddresses(
            descriptors: descriptors, available: available, used: used)
        let queueSize = try #require(QueueSize(size))
        do throws(RingPlacementFault) {
            _ = try SplitRingMemory(map, addresses, size: queueSize)
            return nil
        } catch { return error }
    }

    // The parts' bytes at size 8 (virtio 1.3 §2.7): 16 * 8 = 128, 6 + 2 * 8 = 22, 6 + 8 * 8 = 70.

    @Test(
        "A descriptor table may end at a region's last byte and not a byte later",
        arguments: [
            (0x10_0000, nil), (0x10_4000 - 128, nil), (0x10_8000 - 128, nil), (0x40_3f80, nil),
            (0x10_4000 - 112, .outsideMemory("descriptor table")),
            (0x10_8000 - 112, .outsideMemory("descriptor table")),
            (0x40_3f90, .outsideMemory("descriptor table")),
        ] as [(UInt64, RingPlacementFault?)])
    func descriptorTable(address: UInt64, fault: RingPlacementFault?) throws {
        #expect(try Self.fault(descriptors: address) == fault)
    }

    @Test(
        "An available ring, used_event included, may end at a region's last byte and no later",
        arguments: [
            (0x10_4000 - 22, nil), (0x10_8000 - 22, nil), (0x40_4000 - 22, nil),
            (0x10_4000 - 20, .outsideMemory("available ring")),
            (0x10_8000 - 20, .outsideMemory("available ring")),
        ] as [(UInt64, RingPlacementFault?)])
    func availableRing(address: UInt64, fault: RingPlacementFault?) throws {
        #expect(try Self.fault(available: address) == fault)
    }

    @Test(
        "A used ring, avail_event included, may end at a region's last byte and no later",
        arguments: [
            (0x10_4000 - 72, nil), (0x10_8000 - 72, nil), (0x40_4000 - 72, nil),
            (0x10_4000 - 68, .outsideMemory("used ring")),
            (0x10_8000 - 68, .outsideMemory("used ring")),
        ] as [(UInt64, RingPlacementFault?)])
    func usedRing(address: UInt64, fault: RingPlacementFault?) throws {
        #expect(try Self.fault(used: address) == fault)
    }

    static let outside: [UInt64] = [
        0, 0x8000, 0x20_0000, 0xf_fff0, 0x10_8000, 0x3f_fff0, 0x40_4000, 0x7fff_ffff_ffff_fff0,
        0xffff_ffff_ffff_fff0, 0x1_0010_0000,
    ]

    @Test("Parts outside the memory, guest addresses among them, are refused", arguments: outside)
    func outsideMemory(address: UInt64) throws {
        #expect(try Self.fault(descriptors: address) == .outsideMemory("descriptor table"))
        #expect(try Self.fault(available: address) == .outsideMemory("available ring"))
        #expect(try Self.fault(used: address) == .outsideMemory("used ring"))
    }

    @Test("A part of a large ring that no region holds is refused", arguments: [1024, 32768])
    func tooLarge(size: UInt32) throws {
        let fault = try Self.fault(descriptors: 0x10_0010, size: size)
        #expect(fault == .outsideMemory("descriptor table"))
    }

    @Test("Descriptors are aligned to 16 bytes", arguments: 1..<16 as Range<UInt64>)
    func misalignedDescriptors(excess: UInt64) throws {
        #expect(
            try Self.fault(descriptors: 0x10_0000 + excess) == .misaligned("descriptor table"))
    }

    @Test("The available ring is aligned to 2 bytes", arguments: [1, 3, 15] as [UInt64])
    func misalignedAvailable(excess: UInt64) throws {
        #expect(try Self.fault(available: 0x10_1000 + excess) == .misaligned("available ring"))
        #expect(try Self.fault(available: 0x10_1000 + excess - 1) == nil)
    }

    @Test("The used ring is aligned to 4 bytes", arguments: [1, 2, 3, 5, 6, 7] as [UInt64])
    func misalignedUsed(excess: UInt64) throws {
        #expect(try Self.fault(used: 0x10_2000 + excess) == .misaligned("used ring"))
        #expect(try Self.fault(used: 0x10_2000 + excess & ~3) == nil)
    }

    @Test(
        "A queue's size is a power of two from 1 to 32768",
        arguments: [
            0, 3, 5, 7, 255, 257, 32767, 32769, 65535, 65536, 1 << 31, UInt32.max, 0x1_0008,
        ] as [UInt32])
    func wrongSize(size: UInt32) {
        #expect(QueueSize(size) == nil)
    }

    @Test("Each power of two among them is one", arguments: 0...15)
    func rightSize(power: Int) {
        #expect(QueueSize(1 << UInt32(power))?.count == 1 << UInt16(power))
    }

    @Test("A slot is the index modulo the size", arguments: [0, 1, 7, 8, 0x1234, 0xffff])
    func slot(index: UInt16) {
        #expect(QueueSize(8)?.slot(index) == Int(index) % 8)
        #expect(QueueSize(1)?.slot(index) == 0)
        #expect(QueueSize(32768)?.slot(index) == Int(index) % 32768)
    }

    @Test("A ring is untouched until the driver's parts hold something, at whatever byte")
    func untouched() throws {
        let memory = try SharedMemory(count: 0x4000)
        let region = MemoryRegion.at(0, 0x4000, user: 0)
        let map = try GuestMap.empty.adding(region, file: memory.descriptor)
        let ring = try SplitRingMemory(
            map, RingAddresses(descriptors: 0, available: 0x1000, used: 0x2000),
            size: try #require(QueueSize(8)))
        memory.mapping.fill(1, at: 0x2000, count: 0x1000)
        memory.mapping.fill(1, at: 128, count: 16)
        memory.mapping.fill(1, at: 0x1000 + 22, count: 16)
        let isUntouched = ring.isUntouched()
        #expect(isUntouched)
        for offset in [0, 127, 0x1000, 0x1000 + 21] {
            memory.mapping.fill(1, at: offset, count: 1)
            let isStill = ring.isUntouched()
            #expect(!isStill, "byte \(offset)")
            memory.mapping.fill(0, at: offset, count: 1)
        }
    }
}
