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

    @Option(help: ArgumentHelp("Where the back-end listens.", valueName: "path"))
    var socketPath: String

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

    @Option(help: "Seconds that are measured.")
    var seconds = 5.0

    @Option(help: "Seconds of load before them that are not.")
    var warmup = 1.0

    @Option(
        help: ArgumentHelp(
            "Processors of the threads that make the load, as 0 or 0,2-3 (default: the first).",
            valueName: "list"))
    var cpus: String?

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

    @Flag(help: "Guest memory of 2 MiB pages from the host's pool.")
    var hugePages = false

    @Option(
        help: ArgumentHelp(
            "The back-end's process (default: the one at the other end of the socket).",
            valueName: "pid"))
    var pid: Int32?

    @Option(
        help: ArgumentHelp(
            "Two processors to measure a cache line's round trip between, before and after.",
            valueName: "a,b"))
    var c2cCpus = "0,1"

    @Flag(help: "One JSON object on standard output.")
    var json = false

    func run() throws {
        let plan = try plan()
        if let pid, ProcessUsage(pid: pid) == nil {
            throw ValidationError("--pid \(pid): no such process, or not ours to look at")
        }
        let pair = try CPUList(c2cCpus).map(\.cpus) ?? { throw ValidationError(pairText) }()
        guard pair.count == 2 else { throw ValidationError(pairText) }
        var roundTrip = BlkReport.RoundTrip()
        // Without a connection, the queues of a back-end are at rest.
        roundTrip.before = CacheLine.roundTrip(pair[0], pair[1])?.rounded(digits: 1)
        let (figures, process) = try {
            let bench = try BlkBench(plan, socket: socketPath, pid: pid, isJSON: json)
            return (try bench.run(), bench.pid)
        }()
        roundTrip.after = CacheLine.roundTrip(pair[0], pair[1])?.rounded(digits: 1)
        let report = BlkReport(plan, figures, pid: process, roundTrip)
        StandardOutput.write(json ? try report.json() : report.table)
        if figures.errors > 0 { throw ExitCode.failure }
    }

    private var pairText: String { "--c2c-cpus \(c2cCpus): two processors, as 0,1" }
}
