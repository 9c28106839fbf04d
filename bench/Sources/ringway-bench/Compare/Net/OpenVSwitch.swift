import Foundation

/// Open vSwitch on DPDK, with a database of its own: a bridge that learns, and on it two ports for
/// guests.
struct OpenVSwitch {
    /// Of the first port. The switch's own files are beside it.
    let socket: String
    let hugePages: Bool

    /// Debian's program beside the one without DPDK.
    static let program = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
    static let package = "openvswitch-switch-dpdk"
    private static let schema = "/usr/share/openvswitch/vswitch.ovsschema"
    /// Enough for the packets' buffers, of which it makes 262,144, and for the rings. It takes no more
    /// than it needs.
    static let mebibytes = 1536

    private var folder: String { (socket as NSString).deletingLastPathComponent }
    private var database: String { "\(folder)/ovs.db" }
    private var databaseSocket: String { "\(folder)/ovs-db.sock" }
    /// Ports are named like the sockets that are made for them.
    private var ports: [String] {
        [socket, TestStand.secondSocket(socket)].map { ($0 as NSString).lastPathComponent }
    }

    private static let quiet = ["-vconsole:err", "-vsyslog:off", "-vfile:off"]

    /// The database, its server, and what it is told: one after the other, before the switch itself.
    var preparation: [[String]] { [create, serve, configure] }

    private var create: [String] { ["ovsdb-tool", "create", database, Self.schema] }

    private var serve: [String] {
        ["ovsdb-server", "--remote=punix:\(databaseSocket)", "--unixctl=\(folder)/ovsdb.ctl"]
            + Self.quiet + [database]
    }

    private var configure: [String] {
        // Without huge pages as with them it leaves no file behind.
        let pages =
            hugePages
            ? "--in-memory" : "--no-huge --legacy-mem --no-shconf -m \(Self.mebibytes)"
        var words = ["ovs-vsctl", "--db=unix:\(databaseSocket)", "--no-wait", "init"]
        words += ["--", "set", "Open_vSwitch", ".", "other_config:dpdk-init=true"]
        words += ["other_config:dpdk-extra=\"\(pages)\""]
        // Processor 1, for all that it does.
        words += ["other_config:dpdk-lcore-mask=0x2", "other_config:pmd-cpu-mask=0x2"]
        words += ["--", "add-br", "br0", "--", "set", "Bridge", "br0", "datapath_type=netdev"]
        for port in ports {
            words += ["--", "add-port", "br0", port]
            words += ["--", "set", "Interface", port, "type=dpdkvhostuser"]
        }
        return words
    }

    /// A bridge brings a TAP with it: in a network of the switch's own.
    var words: [String] {
        ["unshare", "--net", "env", "OVS_RUNDIR=\(folder)", Self.program]
            + ["unix:\(databaseSocket)", "--unixctl=\(folder)/ovs-vswitchd.ctl"] + Self.quiet
    }

    /// Makes a new database, and returns its server.
    func prepare(_ stand: TestStand) throws -> Child {
        for path in [database, databaseSocket, "\(folder)/.ovs.db.~lock~"] {
            try? FileManager.default.removeItem(atPath: path)
        }
        try run(create)
        let log = "\(folder)/ovsdb.log"
        let server = try Child(
            serve, cpu: stand.driverCPU, output: "/dev/null", errors: log)
        do {
            try stand.awaitListening("ovsdb-server", server, [databaseSocket], log: log)
            try run(configure)
        } catch {
            server.end()
            throw error
        }
        return server
    }

    private func run(_ words: [String]) throws {
        let log = "\(folder)/ovs-tool.log"
        let child = try Child(words, cpu: nil, output: "/dev/null", errors: log)
        guard child.wait(atMost: 20) == 0 else {
            throw BenchError("\(words[0]) failed: \(TestStand.lastLine(of: log))")
        }
    }
}
