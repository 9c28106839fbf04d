import ArgumentParser
import Host

struct BlkCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "blk",
        abstract: "Drives a vhost-user-blk back-end, anyone's, as fast as it goes or as told.",
        usage: "ringway-bench blk --socket-path /tmp/disk.sock [options]",
        discussion: """
            Writes go to the disk that the back-end serves, and what was there is lost.

            Requests come from one thread, on the first processor of --cpus; with more processors \
            than one, the queues are dealt out to a thread on each. The threads look for answers \
            without end, and ask for no calls, unless --interrupts says otherwise. Leave the \
            back-end a processor of its own: a polling client takes all of its.

            Examples:
              ringway-blk --socket-path /tmp/d.sock --store memory:1G &
              ringway-bench blk --socket-path /tmp/d.sock
              ringway-bench blk --socket-path /tmp/d.sock --rw randwrite --qd 1
              ringway-bench blk --socket-path /tmp/d.sock --rw read --bs 128k --json
              ringway-bench blk --socket-path /tmp/d.sock --queues 4 --cpus 0,2
              ringway-bench blk --socket-path /tmp/d.sock --rate 1000 --interrupts
              ringway-bench blk --socket-path /tmp/d.sock --packed --mixed 70 --verify
            """)

    @OptionGroup var load: LoadOptions

    @Option(help: "randread, randwrite, read or write.")
    var rw: BlkPattern = .randread

    @Option(help: "Bytes of a request, a multiple of 512: 4k, 128k, 1M.")
    var bs = ByteCount(4096)

    @Option(help: ArgumentHelp("Requests in flight on each queue.", valueName: "n"))
    var qd = 32

    @Option(help: ArgumentHelp("Queues under load.", valueName: "n"))
    var queues = 1

    @Option(help: ArgumentHelp("Queues started beside them and never used.", valueName: "n"))
    var idleQueues = 0

    @Flag(help: "Packed rings, where the back-end has them.")
    var packed = false

    @Flag(help: "A table for each request, one ring entry instead of three.")
    var indirect = false

    @Option(
        help: ArgumentHelp(
            "Entries of each ring (default: what the requests take, 128 at least).",
            valueName: "n"))
    var queueSize: UInt16?

    @Option(help: ArgumentHelp("Requests a second at most, of all queues.", valueName: "iops"))
    var rate: Double?

    @Flag(help: "Sleep until the back-end calls, instead of looking without end.")
    var interrupts = false

    @Option(
        help: ArgumentHelp(
            "Reads among a hundred requests, whatever --rw says.", valueName: "percent"))
    var mixed: Int?

    @Option(help: "Bytes of the disk that are used at most (with --verify: 256M).")
    var size: ByteCount?

    @Flag(
        help: """
            Mark what is written and check what is read. Reads are of blocks written before the \
            measured time; what writes leave behind is read back after it.
            """)
    var verify = false

    func run() throws {
        let plan = try plan()
        let (figures, roundTrip) = try load.betweenRoundTrips {
            let bench = try BlkBench(
                plan, socket: load.socketPath, pid: load.pid, isJSON: load.json)
            return try bench.run()
        }
        let report = BlkReport(plan, figures, roundTrip)
        StandardOutput.write(load.json ? try ReportText.json(report) : report.table)
        if figures.errors > 0 { throw ExitCode.failure }
    }
}
