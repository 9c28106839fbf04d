import Foundation
import Testing
import VhostUserFrontend
import VirtioSpec

/// QEMU's own back-end, which shares nothing with Ringway: what our driver gets wrong shows here.
final class StorageDaemon {
    private let process = Process()
    let folder: String
    var socket: String { folder + "/s" }

    init(bytes: UInt64, queues: Int) throws {
        folder = NSTemporaryDirectory() + "ringway-" + UUID().uuidString.prefix(8)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        _ = FileManager.default.createFile(atPath: folder + "/d", contents: nil)
        let handle = try #require(FileHandle(forWritingAtPath: folder + "/d"))
        try handle.truncate(atOffset: bytes)
        process.executableURL = URL(fileURLWithPath: "/usr/bin/qemu-storage-daemon")
        process.arguments = [
            "--blockdev", "file,node-name=f,filename=\(folder)/d,discard=unmap",
            "--export",
            "vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path=\(socket),writable=on,"
                + "num-queues=\(queues)",
        ]
        try process.run()
    }

    deinit {
        // Not SIGTERM: a test's thread may have it blocked, and a child inherits that.
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// The connection, as soon as the daemon takes it.
    func connect() throws -> FrontendConnection {
        let deadline = Date(timeIntervalSinceNow: 10)
        while true {
            do { return try FrontendConnection(path: socket) } catch {
                guard Date() < deadline, process.isRunning else { throw error }
                sched_yield()
            }
        }
    }
}

@Suite("The driver's side works with a back-end that is not ours")
struct PeerTests {
    @Test("Requests of every kind", arguments: [true, false], [true, false])
    func requests(eventIndex: Bool, indirect: Bool) throws {
        let peer = try StorageDaemon(bytes: 8 << 20, queues: 2)
        var options = BlockDriver.Options()
        options.queues = 2
        options.indirect = indirect
        if !eventIndex { options.features.remove(.eventIndex) }
        let driver = try BlockDriver(peer.connect(), GuestRAM(byteCount: 32 << 20), options)
        #expect(try driver.configuration().capacitySectors == 16_384)
        let data = (0..<8192).map { UInt8(truncatingIfNeeded: $0 / 7) }
        for queue in 0..<2 {
            let sector = UInt64(queue * 64)
            #expect(try driver.write(sector: sector, data, queue: queue).status == 0)
            #expect(try driver.read(sector: sector, count: 8192, queue: queue).data == data)
        }
        #expect(try driver.flush().status == 0)
        #expect(try driver.writeZeroes([SectorRange(1, 2)]).status == 0)
        let zeroed = try driver.read(sector: 0, count: 2048).data
        var expected = Array(data.prefix(2048))
        for byte in 512..<1536 { expected[byte] = 0 }
        #expect(zeroed == expected)
        #expect(try driver.discard([SectorRange(0, 8)]).status == 0)
        #expect(try driver.read(sector: 16_384, count: 512).status == 1)
        #expect(try driver.identifier().status == 0)
    }

    @Test("A back-end without packed rings is refused where they are asked for")
    func noPackedRings() throws {
        let peer = try StorageDaemon(bytes: 1 << 20, queues: 1)
        var options = BlockDriver.Options()
        options.packed = true
        #expect(throws: FrontendError.notOffered(.packedRing)) {
            try BlockDriver(peer.connect(), GuestRAM(byteCount: 16 << 20), options)
        }
    }

    @Test("Thousands of requests, many at once")
    func manyAtOnce() throws {
        let peer = try StorageDaemon(bytes: 8 << 20, queues: 1)
        let driver = try BlockDriver(peer.connect(), GuestRAM(byteCount: 32 << 20))
        let stream = BlockStream(driver, queue: 0, slots: 32, bytesPerSlot: 4096)
        var offered = 0
        var done = 0
        var idle = Array(0..<32)
        while done < 3000 {
            while offered < 3000, let slot = idle.popLast() {
                #expect(stream.offer(BlockRequestType.in, sector: UInt64(slot) * 8, slot: slot))
                offered += 1
            }
            stream.queue.submit()
            try stream.queue.waitForUsed(milliseconds: 10_000)
            while let (slot, status) = try stream.reap() {
                #expect(status == 0)
                idle.append(slot)
                done += 1
            }
        }
        #expect(stream.queue.inFlight == 0)
    }
}
