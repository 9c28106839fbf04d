import ArgumentParser
import Host
import VhostUserFrontend
import VirtioSpec

/// A given number of requests, for counting what the back-end does for each: see tools/hotpath.
struct HotPathLoad: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hotpath-load",
        abstract: "Makes a number of requests, reads and writes in turn, and ends.",
        shouldDisplay: false)

    @Option(help: "The back-end's socket.")
    var socketPath: String

    @Option(help: "Requests in all.")
    var number: Int

    @Option(help: "Requests in flight.")
    var depth = 32

    @Option(help: "Bytes of each.")
    var bytes = 4096

    @Flag(help: "Chains go through indirect tables.")
    var indirect = false

    @Flag(help: "A packed ring.")
    var packed = false

    func validate() throws {
        guard number > 0, depth > 0, depth <= 64, bytes > 0, bytes % 512 == 0 else {
            throw ValidationError("number and depth (64 at most) above 0; bytes by 512")
        }
    }

    func run() throws {
        var options = BlockDriver.Options()
        options.queueSize = 256
        options.indirect = indirect
        options.packed = packed
        let ram = try GuestRAM(byteCount: 16 << 20 + UInt64(depth * bytes))
        let driver = try BlockDriver(FrontendConnection(path: socketPath), ram, options)
        let sectors = UInt64(bytes / 512)
        let places = try driver.configuration().capacitySectors / sectors
        let stream = BlockStream(driver, queue: 0, slots: depth, bytesPerSlot: bytes)
        var offered = 0
        func offer(_ slot: Int) -> Bool {
            let type = offered % 2 == 0 ? BlockRequestType.out : BlockRequestType.in
            let sector = UInt64(offered) % places * sectors
            offered += 1
            return stream.offer(type, sector: sector, slot: slot)
        }
        for slot in 0..<min(depth, number) {
            guard offer(slot) else { throw FrontendError.device("the ring is too small") }
        }
        stream.queue.submit()
        var done = 0
        while done < number {
            try stream.queue.waitForUsed(milliseconds: 10_000)
            while let (slot, status) = try stream.reap() {
                guard status == 0 else { throw FrontendError.device("status \(status)") }
                done += 1
                if offered < number, !offer(slot) {
                    throw FrontendError.device("the ring is too small")
                }
            }
            stream.queue.submit()
        }
        _ = try driver.stop()
    }
}
