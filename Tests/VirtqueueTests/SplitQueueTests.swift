import Testing
import VhostUserFrontend
import VirtioSpec
import Virtqueue

@Suite("A split ring carries chains from the driver to the device and back")
struct SplitQueueTests {
    @Test(
        "A chain comes whole and goes back with its token", arguments: [true, false], [true, false])
    func oneChain(eventIndex: Bool, indirect: Bool) throws {
        let bench = try RingBench(eventIndex: eventIndex, indirect: indirect)
        let address = bench.driver.ram.allocate(4096)
        _ = bench.driver.offer(
            [.readable(address, 16), .writable(address + 512, 100), .writable(address + 700, 1)],
            token: 77)
        bench.driver.publish()
        let taken = try #require(try bench.takeOne(written: 101))
        #expect(taken == (16, 101))
        #expect(try bench.driver.reap() == nil)
        #expect(bench.publish())
        let done = try #require(try bench.driver.reap())
        #expect(done == (77, 101))
        #expect(try bench.takeOne() == nil)
    }
}
