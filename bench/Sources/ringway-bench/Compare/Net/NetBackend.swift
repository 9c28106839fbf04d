import Foundation

/// A network back-end in one configuration: ours or a peer's.
struct NetBackend: Contestant {
    enum Kind {
        /// - pollMicroseconds: nil leaves the program's default.
        case ringway(program: String, pollMicroseconds: Int?)
        /// DPDK's testpmd on its net_vhost.
        case testpmd(hugePages: Bool)
    }

    let kind: Kind

    static let testpmd = "dpdk-testpmd"
    /// The Debian package that brings it.
    static let testpmdPackage = "dpdk-dev"

    var isOurs: Bool {
        if case .ringway = kind { true } else { false }
    }

    var usesHugePages: Bool {
        if case .testpmd(true) = kind { true } else { false }
    }

    func serves(_ line: NetLine) -> Bool { true }

    func name(on line: NetLine) -> String {
        switch kind {
        case .ringway(_, nil): Contest.ourDefault
        case .ringway(_, let poll?): "ringway-poll\(poll)us"
        case .testpmd(let hugePages): hugePages ? "testpmd-huge" : "testpmd"
        }
    }

    func words(on line: NetLine, socket: String) -> [String] {
        switch kind {
        case .ringway(let program, let poll):
            let port =
                switch line.load.mode {
                case .loop: "loopback:"
                case .tx: "null:"
                case .rx: "generate:\(line.load.frame)"
                }
            var words = [
                program, "--socket-path", socket, "--log-level", "warning", "--port", port,
            ]
            if let poll { words += ["--poll-us", "\(poll)"] }
            return words
        case .testpmd(let hugePages): return testpmdWords(line, socket, hugePages)
        }
    }

    /// One thread forwards, and another waits for what never comes on standard input; both where
    /// the process may run.
    private func testpmdWords(_ line: NetLine, _ socket: String, _ hugePages: Bool) -> [String] {
        let forward =
            switch line.load.mode {
            case .loop: "io"
            case .tx: "rxonly"
            case .rx: "txonly"
            }
        var words = [Self.testpmd, "--lcores", "0@1,1@1", "--no-pci", "-m", "\(Self.mebibytes)"]
        // Neither leaves a file behind.
        words += hugePages ? ["--in-memory"] : ["--no-huge", "--no-shconf"]
        words += ["--vdev", "net_vhost0,iface=\(socket),queues=1", "--"]
        words += ["--forward-mode=\(forward)", "--rxd=1024", "--txd=1024"]
        words += ["--total-num-mbufs=20000", "--no-mlockall", "--disable-link-check"]
        if line.load.mode == .rx { words.append("--txpkts=\(line.load.frame)") }
        return words
    }

    /// Memory of testpmd's own.
    static let mebibytes = 192

    func window(
        _ line: NetLine, on stand: TestStand, round: Int, seconds: Double?
    ) throws -> Window {
        let name = name(on: line)
        let running = try stand.start(name) { words(on: line, socket: $0) }
        defer { running.child.end() }
        return try stand.window(line.name, line.load, name, running, round, seconds: seconds)
    }

    static func versions(_ contestants: [NetBackend]) -> [(String, String)] {
        var versions: [(String, String)] = []
        for backend in contestants {
            guard case .ringway(let program, _) = backend.kind else { continue }
            versions.append(("ringway-net", Machine.version(ofBuilt: program)))
            break
        }
        if contestants.contains(where: { !$0.isOurs }) {
            // It says its version only among much else.
            let package = Tool.firstLine(["dpkg-query", "--show", testpmdPackage])
            versions.append((testpmd, package.isEmpty ? "no version known" : package))
        }
        return versions
    }
}
