import Foundation
import Programs
import Testing
import VhostUserFrontend
import VirtioSpec

@Suite("Nothing acknowledged is lost when the program is told to end")
struct TerminationTests {
    private static let block = 4096
    private static let queues = 4

    /// Writes block after block, each once and each with its own number in it, as fast as the
    /// program takes them, until it is gone. Returns the numbers that were acknowledged.
    private func load(_ driver: BlockDriver, _ limit: Int, _ reached: (Int) -> Void) -> Set<Int> {
        var acknowledged: Set<Int> = []
        var next = 0
        let streams = (0..<Self.queues).map {
            BlockStream(driver, queue: $0, slots: 32, bytesPerSlot: Self.block)
        }
        var carried = streams.map { _ in [Int](repeating: -1, count: 32) }
        while next < limit {
            for (queue, stream) in streams.enumerated() {
                for slot in 0..<32 where carried[queue][slot] < 0 {
                    driver.ram.write(Bytes.of(UInt64(next + 1)), at: stream.address(slot))
                    guard
                        stream.offer(
                            BlockRequestType.out, sector: UInt64(next * Self.block / 512),
                            slot: slot)
                    else { break }
                    carried[queue][slot] = next
                    next += 1
                }
                stream.queue.submit()
                while let done = try? stream.reap() {
                    if done.status == 0 { acknowledged.insert(carried[queue][done.slot]) }
                    carried[queue][done.slot] = -1
                }
            }
            reached(acknowledged.count)
            // The program hangs up when it ends, once all it took is done and shown.
            if driver.connection.isClosed { break }
        }
        for (queue, stream) in streams.enumerated() {
            while let done = try? stream.reap() {
                if done.status == 0 { acknowledged.insert(carried[queue][done.slot]) }
            }
        }
        return acknowledged
    }

    @Test(
        "SIGTERM under load: every acknowledged write is in the file",
        arguments: ["writeback", "direct"])
    func underLoad(cache: String) throws {
        let folder = try Folder(in: FileManager.default.currentDirectoryPath)
        let blocks = 200_000
        let disk = try folder.disk(bytes: UInt64(blocks * Self.block))
        let program = try Program(
            ["--socket-path", folder["s"], "--blk-file", disk, "--cache", cache])
        try program.waitFor("listening")
        var options = BlockDriver.Options()
        options.queues = Self.queues
        let driver = try BlockDriver(
            FrontendConnection(path: folder["s"]), GuestRAM(byteCount: 64 << 20), options)
        var isTold = false
        let acknowledged = load(driver, blocks) { count in
            guard count > 2000, !isTold else { return }
            isTold = true
            kill(program.identifier, SIGTERM)
        }
        let ended = program.end()
        #expect(ended.status == 0)
        #expect(acknowledged.count > 2000)
        let file = try Data(contentsOf: URL(fileURLWithPath: disk), options: .alwaysMapped)
        let lost = acknowledged.filter { number in
            let start = number * Self.block
            return Bytes.u64(Array(file[start..<start + 8]), at: 0) != UInt64(number + 1)
        }
        #expect(lost.isEmpty, "\(lost.count) of \(acknowledged.count) acknowledged writes are lost")
    }
}
