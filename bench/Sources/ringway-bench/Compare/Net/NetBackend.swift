import Foundation

/// A network back-end in one configuration: ours or a peer's.
enum NetBackend: Contestant {
    /// ringway-net, or ringway-switch across ports.
    /// - pollMicroseconds: nil leaves the program's default.
    case ringway(program: String, pollMicroseconds: Int?)
    /// DPDK's testpmd on its net_vhost.
    case testpmd(hugePages: Bool)
    /// Open vSwitch on DPDK.
    case openVSwitch(hugePages: Bool)

    var isOurs: Bool {
        if case .ringway = self { true } else { false }
    }

    /// Huge pages that are to be there for it; nil where it needs none.
    var hugeMebibytes: Int? {
        switch self {
        case .testpmd(true): Self.testpmdMebibytes + 64
        case .openVSwitch(true): OpenVSwitch.mebibytes + 64
        default: nil
        }
    }

    func serves(_ line: NetLine) -> Bool {
        switch self {
        case .ringway: true
        case .testpmd: line.load.mode != .across
        case .openVSwitch: line.load.mode == .across
        }
    }

    func name(on line: NetLine) -> String {
        switch self {
        case .ringway(_, nil): Contest.ourDefault
        case .ringway(_, let poll?): "ringway-poll\(poll)us"
        case .testpmd(let hugePages): hugePages ? "testpmd-huge" : "testpmd"
        case .openVSwitch(let hugePages): hugePages ? "ovs-huge" : "ovs"
        }
    }

    func words(on line: NetLine, socket: String) -> [String] {
        switch self {
        case .ringway(let program, let poll):
            var words = [program, "--log-level", "warning"]
            switch line.load.mode {
            case .loop: words += ["--socket-path", socket, "--port", "loopback:"]
            case .tx: words += ["--socket-path", socket, "--port", "copy:"]
            case .rx: words += ["--socket-path", socket, "--port", "generate:\(line.load.frame)"]
            case .across:
                words += ["--port", socket, "--port", TestStand.secondSocket(socket)]
            }
            if let poll { words += ["--poll-us", "\(poll)"] }
            return words
        case .testpmd(let hugePages): return testpmdWords(line, socket, hugePages)
        case .openVSwitch(let hugePages):
            return OpenVSwitch(socket: socket, hugePages: hugePages).words
        }
    }

    func preparation(on line: NetLine, socket: String) -> [[String]] {
        guard case .openVSwitch(let hugePages) = self else { return [] }
        return OpenVSwitch(socket: socket, hugePages: hugePages).preparation
    }

    /// One thread forwards, and another waits for what never comes on standard input; both where
    /// the process may run.
    private func testpmdWords(_ line: NetLine, _ socket: String, _ hugePages: Bool) -> [String] {
        let forward =
            switch line.load.mode {
            case .loop, .across: "io"
            case .tx: "rxonly"
            case .rx: "txonly"
            }
        var words = [Testpmd.program, "--lcores", "0@1,1@1", "--no-pci"]
        words += ["-m", "\(Self.testpmdMebibytes)"]
        // Neither leaves a file behind.
        words += hugePages ? ["--in-memory"] : ["--no-huge", "--no-shconf"]
        words += ["--vdev", "net_vhost0,iface=\(socket),queues=1", "--"]
        words += ["--forward-mode=\(forward)", "--rxd=1024", "--txd=1024"]
        words += ["--total-num-mbufs=20000", "--no-mlockall", "--disable-link-check"]
        if line.load.mode == .rx { words.append("--txpkts=\(line.load.frame)") }
        return words
    }

    /// Memory of testpmd's own.
    private static let testpmdMebibytes = 192

    func window(
        _ line: NetLine, on stand: TestStand, round: Int, seconds: Double?
    ) throws -> Window {
        let name = name(on: line)
        var database: Child?
        if case .openVSwitch(let hugePages) = self {
            database = try OpenVSwitch(socket: stand.socket(), hugePages: hugePages).prepare(stand)
        }
        defer { database?.end() }
        let running = try stand.start(name, hasTwoPorts: line.load.mode == .across) {
            words(on: line, socket: $0)
        }
        defer { running.child.end() }
        return try stand.window(line.name, line.load, name, running, round, seconds: seconds)
    }

    static func versions(_ contestants: [NetBackend]) -> [(String, String)] {
        var versions: [(String, String)] = []
        func add(_ name: String, _ version: String) {
            guard !versions.contains(where: { $0.0 == name }) else { return }
            versions.append((name, version.isEmpty ? "no version known" : version))
        }
        for backend in contestants {
            switch backend {
            case .ringway(let program, _):
                add((program as NSString).lastPathComponent, Machine.version(ofBuilt: program))
            // It says its version only among much else.
            case .testpmd: add(Testpmd.program, package(Testpmd.package))
            case .openVSwitch: add(OpenVSwitch.program, package(OpenVSwitch.package))
            }
        }
        return versions
    }

    private static func package(_ name: String) -> String {
        Tool.firstLine(["dpkg-query", "--show", name])
    }
}
