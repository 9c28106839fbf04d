import ArgumentParser
import Host

struct NetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "net",
        abstract: "Drives a vhost-user-net back-end, anyone's, as fast as it goes or as told.",
        usage: "ringway-bench net --socket-path /tmp/net.sock [options]",
        discussion: """
            tx sends as many packets as the back-end takes, rx receives as many as it has, and loop \
            sends and waits for them to come back, as from a back-end that returns all it gets. \
            What the back-end has taken and not returned within 200 ms is lost, and others go in its \
            place. switch sends at --socket-path and waits for it at --peer-socket: two ports of one \
            back-end, of which the second makes itself known first, and again every second. \
            Packets are UDP in IPv4; those above 9018 bytes are TCP for others to cut (TSO).

            A pair's packets are made and looked at by one thread, on the first processor of --cpus; \
            with more processors than one, the pairs are dealt out to a thread on each. The threads \
            look for packets without end, unless --interrupts says otherwise. Leave the back-end a \
            processor of its own: a polling client takes all of its.

            Examples:
              ringway-net --socket-path /tmp/n.sock --port loopback: &
              ringway-bench net --socket-path /tmp/n.sock
              ringway-bench net --socket-path /tmp/n.sock --frame 1518 --packed --json
              ringway-bench net --socket-path /tmp/n.sock --inflight 1
              ringway-bench net --socket-path /tmp/n.sock --mode tx --frame 64k --cut 16k
              ringway-bench net --socket-path /tmp/n.sock --verify --rate 100000
              ringway-bench net --socket-path /tmp/n.sock --driver testpmd --pid $!
              ringway-switch --port /tmp/a.sock --port /tmp/b.sock &
              ringway-bench net --mode switch --socket-path /tmp/a.sock --peer-socket /tmp/b.sock
            """)

    @OptionGroup var load: LoadOptions

    @Option(help: "tx, rx, loop or switch.")
    var mode: NetMode = .loop

    @Option(
        help: ArgumentHelp(
            "In switch: where the back-end listens for the port that packets go to.",
            valueName: "path"))
    var peerSocket: String?

    @Option(
        help: ArgumentHelp(
            """
            Who makes the load: ringway, this program; or testpmd, DPDK's, by its virtio-user. \
            That one knows tx, rx and loop, and wants --pid to tell what the back-end spends.
            """))
    var driver: NetDriving = .ringway

    @Option(help: "Bytes of a packet: 64, 512, 1518, 64k.")
    var frame = ByteCount(64)

    @Option(help: ArgumentHelp("Queue pairs under load.", valueName: "n"))
    var queuePairs = 1

    @Flag(help: "Packed rings, where the back-end has them.")
    var packed = false

    @Flag(help: "No mergeable buffers: every packet comes in one.")
    var noMrg = false

    @Flag(help: "A table for each packet of several buffers.")
    var indirect = false

    @Option(
        help: ArgumentHelp(
            "Bytes of a buffer on its way out, as 4k (default: a packet in one).",
            valueName: "size"))
    var cut: ByteCount?

    @Option(
        help: ArgumentHelp(
            "Entries of each ring (default: 1024, with packets above 9018 bytes 256).",
            valueName: "n"))
    var queueSize: UInt16?

    @Option(help: ArgumentHelp("Packets moved at a time at most, each way.", valueName: "n"))
    var burst = 32

    @Option(
        help: ArgumentHelp(
            """
            In loop and switch: packets of a pair that are out and not in at most (default: 256, \
            or half of what the rings hold). With 1 the round trip is told.
            """, valueName: "n"))
    var inflight: Int?

    @Option(help: ArgumentHelp("Packets a second at most, of all pairs.", valueName: "pps"))
    var rate: Double?

    @Flag(help: "Sleep until the back-end calls, instead of looking without end.")
    var interrupts = false

    @Flag(help: "In loop and switch: mark all of each packet; check what comes in, and its order.")
    var verify = false

    @Option(help: ArgumentHelp("The packets' own address.", valueName: "mac"))
    var source = HardwareAddress(1)

    @Option(help: ArgumentHelp("Where they go.", valueName: "mac"))
    var destination = HardwareAddress(2)

    func run() throws {
        let plan = try plan()
        let (figures, roundTrip) = try load.betweenRoundTrips {
            switch driver {
            case .ringway:
                let sockets = [load.socketPath] + (peerSocket.map { [$0] } ?? [])
                return try NetBench(plan, sockets: sockets, pid: load.pid, isJSON: load.json).run()
            case .testpmd:
                return try TestpmdBench(
                    plan, socket: load.socketPath, pid: load.pid, isJSON: load.json
                ).run()
            }
        }
        let report = NetReport(plan, figures, roundTrip)
        StandardOutput.write(load.json ? try ReportText.json(report) : report.table)
        if figures.total.errors > 0 { throw ExitCode.failure }
    }
}
