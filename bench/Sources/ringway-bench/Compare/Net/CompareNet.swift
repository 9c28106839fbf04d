import ArgumentParser

struct CompareNet: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "net",
        abstract: "ringway-net and DPDK's testpmd (net_vhost), each driven by `ringway-bench net`.",
        discussion: """
            loop: the back-end returns what it gets; sink: it takes; source: it sends; trip: one packet \
            out at a time. Lines that begin with virtio-user are driven by another testpmd. \
            \(NetArena.net.lineList)
            A line's ratio is our best configuration's packets a second by the peers' best one's.
            """)

    @OptionGroup var contest: NetCompareOptions

    func validate() throws { try contest.check(.net) }
    func run() throws { try contest.run(.net) }
}

struct CompareSwitch: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "switch",
        abstract: "ringway-switch and Open vSwitch on DPDK, driven by `ringway-bench net`.",
        discussion: """
            Packets go from one guest's port to another's; trip: one at a time. Open vSwitch has a \
            database, a bridge and a network namespace of its own, for which this must be root. \
            \(NetArena.switch.lineList)
            A line's ratio is our best configuration's packets a second by the peers' best one's.
            """)

    @OptionGroup var contest: NetCompareOptions

    func validate() throws { try contest.check(.switch) }
    func run() throws { try contest.run(.switch) }
}
