import ArgumentParser
import Host

struct SurviveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "survive",
        abstract: "Keeps a vhost-user-blk back-end at work, lives through its deaths, and misses"
            + " nothing that was lost.",
        usage: "ringway-bench survive --socket-path /tmp/disk.sock [options]",
        discussion: """
            Writes go to the disk that the back-end serves, and what was there is lost.

            Random writes, reads and flushes, a full queue of them at all times. When the back-end \
            goes, the next one to listen at the socket is told of the same rings, in QEMU's way, and \
            has to go on. A line `check` on standard input lets everything that is out come back, \
            reads each block, from the device and from --file, and says what is not as it must be; \
            `end` says what there was in all, and so does the end of the input. Every line on \
            standard output is one JSON object. The exit status is 1 if anything was lost.

            tools/campaign uses this to kill back-ends by the hundred.
            """)

    @Option(help: ArgumentHelp("Where the back-end listens.", valueName: "path"))
    var socketPath: String

    @Option(help: ArgumentHelp("What the back-end serves, to be looked at too.", valueName: "path"))
    var file: String?

    @Option(help: ArgumentHelp("Queues.", valueName: "n"))
    var queues = 4

    @Option(help: ArgumentHelp("Requests in flight on each queue.", valueName: "n"))
    var depth = 32

    @Option(help: "Bytes of a block, a multiple of 512: 512, 4k, 64k.")
    var bs = ByteCount(4096)

    @Option(help: "Bytes of the disk that are used at most.")
    var size = ByteCount(32 << 20)

    @Flag(help: "Packed rings.")
    var packed = false

    @Flag(help: "A table for each request, one ring entry instead of three.")
    var indirect = false

    @Flag(help: "Let the back-end track nothing: what is in flight at its death is lost, then.")
    var noInflight = false

    @Option(help: ArgumentHelp("Seconds after which a request, or a back-end, is given up."))
    var patience = 10.0

    @Option(help: "What the load's random numbers follow from.")
    var seed: UInt64 = 1

    func validate() throws {
        guard (1...256).contains(queues), (1...256).contains(depth) else {
            throw ValidationError("--queues and --depth: 1 to 256")
        }
        guard bs.bytes > 0, bs.bytes % 512 == 0, bs.bytes <= 1 << 20 else {
            throw ValidationError("--bs \(bs.text): a multiple of 512, at most 1M")
        }
        guard patience > 0, patience <= 3600 else {
            throw ValidationError("--patience: up to an hour, and more than nothing")
        }
    }

    func run() throws {
        let isFine = try Survivor(self).run()
        if !isFine { throw ExitCode.failure }
    }
}
