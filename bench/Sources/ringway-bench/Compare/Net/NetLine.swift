/// What a driver does to a network back-end: the options of `ringway-bench net`.
struct NetLoad: DriverLoad {
    /// What the rings are like.
    enum Form: String, Codable, CaseIterable {
        /// Split, with mergeable buffers.
        case split
        /// Split, every packet in one buffer.
        case noMrg = "nomrg"
        /// Packed, with mergeable buffers.
        case packed

        var title: String {
            switch self {
            case .split: "split mergeable"
            case .noMrg: "split non-mergeable"
            case .packed: "packed"
            }
        }
    }

    var mode: NetMode
    /// Bytes of a packet.
    var frame: Int
    var form: Form
    /// Packets that are out and not back; nil for the driver's own number.
    var inFlight: Int?

    func words(socket: String, seconds: Double, warmup: Double, cpu: Int) -> [String] {
        var words = [
            "net", "--socket-path", socket, "--mode", mode.rawValue, "--frame", "\(frame)",
            "--seconds", shortest(seconds), "--warmup", shortest(warmup), "--cpus", "\(cpu)",
            "--json",
        ]
        if form == .noMrg { words.append("--no-mrg") }
        if form == .packed { words.append("--packed") }
        if let inFlight { words += ["--inflight", "\(inFlight)"] }
        return words
    }
}

/// One line of the comparison: a load, and how many times the best peer's rate is wanted.
struct NetLine: ComparedLine {
    let name: String
    let title: String
    let load: NetLoad
    let target: Double? = 1.0

    /// Every way of packets, and every size and form of rings; and one packet alone.
    static let all: [NetLine] = {
        let ways: [NetMode] = [.loop, .tx, .rx]
        let lines = ways.flatMap { mode in
            [64, 1518].flatMap { frame in
                NetLoad.Form.allCases.map { NetLine(NetLoad(mode: mode, frame: frame, form: $0)) }
            }
        }
        let alone = NetLoad.Form.allCases.map {
            NetLine(NetLoad(mode: .loop, frame: 64, form: $0, inFlight: 1))
        }
        return lines + alone
    }()

    private init(_ load: NetLoad) {
        self.load = load
        let way = load.inFlight == 1 ? "trip" : load.mode.place
        name = "\(way)-\(load.frame)-\(load.form.rawValue)"
        title =
            (load.inFlight == 1 ? "one packet out" : way)
            + ", \(load.frame) B, \(load.form.title)"
    }
}

extension NetMode {
    /// What the back-end is for the driver.
    var place: String {
        switch self {
        case .tx: "sink"
        case .rx: "source"
        case .loop: "loop"
        }
    }
}
