import Testing
import VhostUserFrontend
import VirtioSpec

@Suite("A front-end that takes its memory away loses its session, and nobody else does")
struct LostMemoryTests {
    @Test("The file is shortened: to nothing, or to where the rings end", arguments: [0, 1 << 20])
    func truncated(left: Int) throws {
        let backend = try Backend()
        let ram = try GuestRAM(byteCount: 16 << 20)
        let driver = try BlockDriver(backend.connect(), ram)
        let stream = BlockStream(driver, queue: 0, slots: 8, bytesPerSlot: 64 << 10)
        for slot in 0..<8 {
            #expect(stream.offer(BlockRequestType.out, sector: UInt64(slot) * 128, slot: slot))
        }
        try ram.regions[0].memory.truncate(to: left)
        stream.queue.kick.signal()
        try driver.connection.waitForClose()
        let next = try backend.driver()
        let data = [UInt8](repeating: 3, count: 4096)
        #expect(try next.write(sector: 0, data).status == 0)
        #expect(try next.read(sector: 0, count: 4096).data == data)
    }
}
