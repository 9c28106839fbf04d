import BlockStores
import Host
import Randomness
import Testing
import VhostUserFrontend
import VirtioBlock
import VirtioSpec

@Suite("Memory comes, goes and changes while rings run")
struct MemoryTests {
    /// A region of 1 MiB beside a driver's own memory.
    private struct Extra {
        let ram: GuestRAM
        let region: MemoryRegion

        init(_ number: UInt64 = 1, fileOffset: UInt64 = 0) throws {
            ram = try GuestRAM([
                GuestRAM.Plan(
                    guestAddress: number << 32, byteCount: 1 << 20, fileOffset: fileOffset)
            ])
            region = MemoryRegion(
                guestAddress: number << 32, byteCount: 1 << 20,
                userAddress: 0x6000_0000_0000 + number << 32, fileOffset: fileOffset)
        }

        var raw: Int32 { ram.regions[0].memory.descriptor.raw }
        var address: UInt64 { region.guestAddress }
    }

    @Test("A region that is added can be used, one that is removed can't")
    func addAndRemove() throws {
        let backend = try Backend()
        let driver = try backend.driver { $0.memoryBySlots = true }
        let extra = try Extra()
        #expect(try driver.write(sector: 0, [UInt8](repeating: 3, count: 512)).status == 0)
        try driver.connection.addRegion(extra.region, descriptor: extra.raw)
        #expect(try driver.transfer(BlockRequestType.in, 0, extra.address + 4096, 512) == 513)
        #expect(extra.ram.read(512, at: extra.address + 4096) == [UInt8](repeating: 3, count: 512))
        extra.ram.fill(9, count: 512, at: extra.address)
        #expect(try driver.transfer(BlockRequestType.out, 1, extra.address, 512) == 1)
        try driver.connection.removeRegion(extra.region)
        #expect(try driver.read(sector: 1, count: 512).data == [UInt8](repeating: 9, count: 512))
        driver.offerTransfer(BlockRequestType.in, 0, extra.address, 512)
        driver.queues[0].submit()
        #expect(driver.queues[0].waitForError())
    }

    @Test("A removed region may come again, elsewhere and with another file")
    func comesAgain() throws {
        let backend = try Backend()
        let driver = try backend.driver()
        for number in [1, 2, 1] as [UInt64] {
            let extra = try Extra(number)
            try driver.connection.addRegion(extra.region, descriptor: extra.raw)
            extra.ram.fill(UInt8(number), count: 512, at: extra.address)
            #expect(try driver.transfer(BlockRequestType.out, number, extra.address, 512) == 1)
            var other = extra.region
            other.fileOffset = 12_345  // does not matter
            try driver.connection.removeRegion(other)
            #expect(try driver.read(sector: number, count: 1 << 9).data.allSatisfy { $0 == number })
        }
    }

    @Test("REM_MEM_REG may carry a descriptor, which is closed")
    func removeWithDescriptor() throws {
        let backend = try Backend()
        let driver = try backend.driver()
        let extra = try Extra()
        try driver.connection.addRegion(extra.region, descriptor: extra.raw)
        let region = extra.region
        let payload = [0, region.guestAddress, region.byteCount, region.userAddress, 0]
            .flatMap { Bytes.of($0) }
        let watched = Watched()
        try watched.give {
            try driver.connection.tell(.removeMemoryRegion, payload, descriptors: [$0])
        }
        #expect(driver.connection.isAlive())
        #expect(watched.isLetGo)
        #expect(try driver.works())
    }

    @Test("Many regions live side by side, far more than one table holds")
    func manyRegions() throws {
        let backend = try Backend()
        let driver = try backend.driver()
        let extras = try (1...100 as ClosedRange<UInt64>).map { try Extra($0) }
        for extra in extras.reversed() {
            try driver.connection.addRegion(extra.region, descriptor: extra.raw)
        }
        for (sector, extra) in extras.enumerated() {
            extra.ram.fill(UInt8(sector), count: 512, at: extra.address)
            let written = try driver.transfer(
                BlockRequestType.out, UInt64(sector), extra.address, 512)
            #expect(written == 1)
        }
        let disk = try driver.read(sector: 0, count: 100 * 512).data
        let expected = (0..<100).flatMap { [UInt8](repeating: UInt8($0), count: 512) }
        #expect(disk == expected)
    }

    @Test(
        "A file that is mapped from an offset is read and written from there",
        arguments: [
            0x810, 0x1000, 0x20_5000,
        ] as [UInt64])
    func fileOffset(offset: UInt64) throws {
        let backend = try Backend()
        let ram = try GuestRAM([
            GuestRAM.Plan(guestAddress: 1 << 20, byteCount: 16 << 20, fileOffset: offset)
        ])
        let driver = try BlockDriver(backend.connect(), ram)
        #expect(try driver.works())
    }

    @Test(
        "Buffers and tables may straddle two regions", arguments: [1, 255, 512, 4095],
        [true, false])
    func straddling(before: UInt64, indirect: Bool) throws {
        let backend = try Backend()
        let border: UInt64 = 8 << 20
        let ram = try GuestRAM([
            GuestRAM.Plan(byteCount: border, fileOffset: 0x3000),
            GuestRAM.Plan(guestAddress: border, byteCount: 1 << 20),
        ])
        var options = BlockDriver.Options()
        options.indirect = indirect
        let driver = try BlockDriver(backend.connect(), ram, options)
        var noise = Seeded()
        let data = noise.bytes(4096)
        ram.write(data, at: border - before)
        #expect(try driver.transfer(BlockRequestType.out, 5, border - before, 4096) == 1)
        #expect(try driver.read(sector: 5, count: 4096).data == data)
        ram.fill(0, count: 4096, at: border - before)
        #expect(try driver.transfer(BlockRequestType.in, 5, border - before, 4096) == 4097)
        #expect(ram.read(4096, at: border - before) == data)
    }

    @Test("A table of descriptors may straddle two regions")
    func straddlingTable() throws {
        let backend = try Backend()
        let border: UInt64 = 8 << 20
        let ram = try GuestRAM([
            GuestRAM.Plan(byteCount: border),
            GuestRAM.Plan(guestAddress: border, byteCount: 1 << 20),
        ])
        let driver = try BlockDriver(backend.connect(), ram)
        let queue = driver.splitQueues[0]
        let place = ram.allocate(64)
        ram.write(Bytes.of(BlockRequestType.flush) + [UInt8](repeating: 0, count: 12), at: place)
        ram.write([0xee], at: place + 32)
        let table = border - 24
        queue.writeDescriptor(Descriptor(address: place, length: 16, flags: 1, next: 1), at: table)
        queue.writeDescriptor(
            Descriptor(address: place + 32, length: 1, flags: 2), at: table + 16)
        queue.setDescriptor(0, Descriptor(address: table, length: 32, flags: 4))
        queue.setAvailable(0, head: 0)
        queue.setAvailableIndex(1)
        queue.kick.signal()
        #expect(soon { queue.usedIndex() == 1 })
        #expect(ram.read(1, at: place + 32) == [0])
    }

    @Test("A new table with the same memory loses nothing that is in flight")
    func sameMemoryAgain() throws {
        let file = try TemporaryFile(byteCount: 8 << 20)
        let backend = try Backend(
            RawLane.self, try RawStore(path: file.path), BlockOptions(byteCount: 8 << 20))
        let driver = try backend.driver()
        let stream = BlockStream(driver, queue: 0, slots: 32, bytesPerSlot: 4096)
        for slot in 0..<32 {
            driver.ram.fill(UInt8(slot + 1), count: 4096, at: stream.address(slot))
        }
        var done = 0
        for round in 0..<32 {
            for slot in 0..<32 {
                let sector = UInt64(slot * 64 + round % 8 * 8)
                #expect(stream.offer(BlockRequestType.out, sector: sector, slot: slot))
            }
            stream.queue.submit()
            try driver.connection.setMemoryTable(driver.ram)
            for _ in 0..<32 {
                try stream.queue.waitForUsed(milliseconds: 10_000)
                let finished = try #require(try stream.reap())
                #expect(finished.status == 0)
                done += 1
            }
        }
        #expect(done == 1024 && stream.queue.inFlight == 0)
        for slot in 0..<32 {
            let read = try driver.read(sector: UInt64(slot * 64), count: 32_768)
            #expect(read.data == [UInt8](repeating: UInt8(slot + 1), count: 32_768))
        }
    }

    @Test("A change of memory waits for what uses the old", arguments: [true, false])
    func waits(removing: Bool) throws {
        let store = try HeldStore()
        let backend = try Backend(held: store)
        let driver = try backend.driver()
        let extra = try Extra()
        try driver.connection.addRegion(extra.region, descriptor: extra.raw)
        driver.offerTransfer(BlockRequestType.in, 0, extra.address, 512, token: 6)
        driver.queues[0].submit()
        try driver.connection.setVringEnable(0, 1)
        driver.connection.deadline = 100
        #expect(throws: FrontendError.timedOut) {
            try removing
                ? driver.connection.removeRegion(extra.region)
                : driver.connection.setMemoryTable(driver.ram)
        }
        store.open()
        driver.connection.deadline = 10_000
        #expect(try driver.connection.receive().number == 0)
        #expect(try driver.finish() == 6)
        #expect(try driver.works())
    }

    @Test("Adding a region waits for nothing")
    func addingDoesNotWait() throws {
        let store = try HeldStore()
        let backend = try Backend(held: store)
        let driver = try backend.driver()
        let read = driver.offerRead()
        driver.queues[0].submit()
        let extra = try Extra()
        try driver.connection.addRegion(extra.region, descriptor: extra.raw)
        #expect(read.status == BlockDriver.untouchedStatus)
        store.open()
        try driver.finish()
        #expect(read.status == 0)
    }

    @Test("A table that leaves one ring out stops that ring alone, until its memory is back")
    func leavesOneOut() throws {
        let backend = try Backend()
        let driver = try backend.driver()
        let extra = try Extra()
        let queue = try SplitDriverQueue(extra.ram, size: 8)
        try driver.connection.addRegion(extra.region, descriptor: extra.raw)
        let rings = [queue.descriptors, queue.used, queue.available].map {
            $0 - extra.address + extra.region.userAddress
        }
        try driver.connection.setVringNum(1, 8)
        try driver.connection.setVringAddress(
            1, descriptors: rings[0], used: rings[1], available: rings[2])
        try driver.connection.setVringEnable(1, 1)
        try driver.connection.setVringFD(.setVringKick, 1, queue.kick.descriptor.raw)
        // Ring 0 is in the driver's memory, which the new table leaves out.
        let third = try Extra(2)
        let regions = [extra.region, third.region]
        try? driver.connection.setMemoryTable(regions, descriptors: [extra.raw, third.raw])
        let header = extra.ram.allocate(64)
        extra.ram.write([UInt8](repeating: 0, count: 16), at: header)
        third.ram.fill(0xff, count: 513, at: third.address)
        _ = queue.offer(
            [.readable(header, 16), .writable(third.address, 513)], token: 0)
        queue.submit()
        #expect(soon { queue.usedIndex() == 1 })
        #expect(third.ram.read(513, at: third.address).allSatisfy { $0 == 0 })
        // Ring 0 takes nothing until its memory is back.
        let read = driver.offerRead()
        driver.queues[0].submit()
        let own = driver.ram.regions[0]
        try driver.connection.setMemoryTable(
            regions + [own.description],
            descriptors: [extra.raw, third.raw, own.memory.descriptor.raw])
        try driver.finish()
        #expect(read.status == 0)
    }
}
