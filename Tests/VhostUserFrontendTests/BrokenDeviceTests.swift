import Host
import Testing
import VirtioSpec

@testable import VhostUserFrontend

@Suite("What a device gives back is believed no further than it must be")
struct BrokenDeviceTests {
    /// A ring of eight with chains 0 and 1 out, each with 10 bytes to write into.
    private func packed(inOrder: Bool = false) throws -> (PackedDriverQueue, PackedDevice) {
        let driver = try PackedDriverQueue(
            GuestRAM(byteCount: 1 << 20), size: 8, DriverQueue.Options(inOrder: inOrder))
        for token in 0..<2 as Range<UInt64> {
            _ = driver.offer([.readable(0, 99), .writable(99, 10)], token: token)
        }
        driver.publish()
        var device = PackedDevice(driver)
        for _ in 0..<2 { _ = device.take() }
        return (driver, device)
    }

    private func isBroken(_ driver: DriverQueue) -> Bool {
        do throws(FrontendError) {
            _ = try driver.reap()
            return false
        } catch {
            guard case .device = error else { return false }
            return true
        }
    }

    @Test(
        "An id beyond the ring, one that is not out, or too many bytes", arguments: [true, false])
    func packedIDs(inOrder: Bool) throws {
        for (id, written) in [(8, 0), (0xffff, 0), (2, 0), (0, 11)] as [(UInt16, UInt32)] {
            var (driver, device) = try packed(inOrder: inOrder)
            device.complete(id, 2, written: written)
            #expect(isBroken(driver), "\(id), \(written)")
        }
    }

    @Test("A chain given back twice, and one that nobody offered")
    func packedTwice() throws {
        var (driver, device) = try packed()
        device.complete(1, 2, written: 1)
        #expect(try driver.reap()?.token == 1)
        device.complete(1, 2, written: 1)
        #expect(isBroken(driver))
        let idle = try PackedDriverQueue(GuestRAM(byteCount: 1 << 20), size: 8)
        idle.setFlags(0, 0x8080)
        #expect(isBroken(idle))
    }

    @Test("The length counts only where the device says that it wrote")
    func packedLength() throws {
        let (driver, _) = try packed()
        driver.setDescriptor(0, PackedDescriptor(address: 0, length: 5, id: 0, flags: 0x8080))
        #expect(try #require(try driver.reap()) == (0, 0))
        driver.setDescriptor(2, PackedDescriptor(address: 0, length: 5, id: 1, flags: 0x8082))
        #expect(try #require(try driver.reap()) == (1, 5))
    }

    @Test("Marks of another lap are no used descriptor", arguments: [0, 0x80, 0x8000] as [UInt16])
    func packedMarks(marks: UInt16) throws {
        let (driver, _) = try packed()
        driver.setFlags(0, marks)
        #expect(try driver.reap() == nil)
    }

    private func split(inOrder: Bool) throws -> SplitDriverQueue {
        let driver = try SplitDriverQueue(
            GuestRAM(byteCount: 1 << 20), size: 8, DriverQueue.Options(inOrder: inOrder),
            start: 0xfffe)
        for token in 0..<4 as Range<UInt64> {
            #expect(
                driver.offer([.readable(0, 9), .writable(9, 10)], token: token)
                    == UInt16(token) * 2)
        }
        driver.publish()
        return driver
    }

    @Test("A split ring's batch is named by its last chain, where its first would be")
    func splitBatch() throws {
        let driver = try split(inOrder: true)
        driver.setUsedEntry(0xfffe, id: 4, written: 3)
        driver.setUsedIndex(1)
        #expect(try #require(try driver.reap()) == (0, 10))
        #expect(try #require(try driver.reap()) == (1, 10))
        #expect(try #require(try driver.reap()) == (2, 3))
        #expect(try driver.reap() == nil)
        // The next entry is where the next chain's would be.
        driver.setUsedEntry(1, id: 6, written: 0)
        driver.setUsedIndex(2)
        #expect(try #require(try driver.reap()) == (3, 0))
        // Descriptors go on in ring order (§2.7.5.1), past the end and on.
        for token in 0..<4 as Range<UInt64> {
            #expect(
                driver.offer([.readable(0, 9), .writable(9, 10)], token: token)
                    == UInt16(token) * 2)
        }
    }

    @Test("A batch that the used index does not cover, and a chain out of order that is not out")
    func splitBrokenBatch() throws {
        let driver = try split(inOrder: true)
        driver.setUsedEntry(0xfffe, id: 4, written: 0)
        driver.setUsedIndex(0xffff)
        #expect(try driver.reap()?.token == 0)
        #expect(isBroken(driver))
        let other = try split(inOrder: true)
        other.setUsedEntry(0xfffe, id: 1, written: 0)
        other.setUsedIndex(0xffff)
        #expect(isBroken(other))
    }

    @Test("A split ring's id, length and index", arguments: [true, false])
    func splitIDs(inOrder: Bool) throws {
        for (id, written, index) in [
            (8, 0, 0xffff), (1, 0, 0xffff), (0x10000, 0, 0xffff), (0, 11, 0xffff), (0, 0, 3),
            (0, 0, 0xfffd),
        ] as [(UInt32, UInt32, UInt16)] {
            let driver = try split(inOrder: inOrder)
            driver.setUsedEntry(0xfffe, id: id, written: written)
            driver.setUsedIndex(index)
            #expect(isBroken(driver), "\(id), \(written), \(index)")
        }
    }

    @Test("A split ring's kick covers all that was published since it was last considered")
    func splitKick() throws {
        let driver = try SplitDriverQueue(GuestRAM(byteCount: 1 << 20), size: 8)
        driver.setAvailableEvent(0)
        for _ in 0..<2 {
            _ = driver.offer([.readable(0, 1)], token: 0)
            driver.publish()
        }
        #expect(driver.kickIfWanted())
        #expect(!driver.kickIfWanted())
    }
}

@Suite("Features that a driver accepts")
struct FeatureChoiceTests {
    private let all: Features = [.packedRing, .inOrder, .version1, .eventIndex]

    @Test("Packed rings and the order are accepted where asked for, and nowhere else")
    func choice() throws {
        var options = BlockDriver.Options()
        #expect(try BlockDriver.accept(all, options) == [.version1, .eventIndex])
        options.packed = true
        #expect(try BlockDriver.accept(all, options) == [.version1, .eventIndex, .packedRing])
        options.inOrder = true
        #expect(try BlockDriver.accept(all, options) == all)
        options.features.remove(.eventIndex)
        #expect(try !BlockDriver.accept(all, options).contains(.eventIndex))
    }

    @Test("What is not offered is refused")
    func refusal() throws {
        var options = BlockDriver.Options()
        options.packed = true
        #expect(throws: FrontendError.notOffered(.packedRing)) {
            try BlockDriver.accept([.version1, .inOrder], options)
        }
        options.packed = false
        options.inOrder = true
        #expect(throws: FrontendError.notOffered(.inOrder)) {
            try BlockDriver.accept([.version1, .packedRing], options)
        }
    }
}
