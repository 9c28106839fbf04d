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

    var driver = NetDriving.ringway
    var mode: NetMode
    /// Bytes of a packet.
    var frame: Int
    var form: Form
    /// Packets that are out and not in; nil for the driver's own number.
    var inFlight: Int?

    func words(socket: String, seconds: Double, warmup: Double, cpu: Int) -> [String] {
        var words = [
            "net", "--socket-path", socket, "--mode", mode.rawValue, "--frame", "\(frame)",
            "--seconds", shortest(seconds), "--warmup", shortest(warmup), "--cpus", "\(cpu)",
            "--json",
        ]
        if driver != .ringway { words += ["--driver", driver.rawValue] }
        if mode == .across { words += ["--peer-socket", TestStand.secondSocket(socket)] }
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

    /// Every way of packets, and every size and form of rings, by each driver; and one packet alone.
    static let net: [NetLine] = {
        let ways: [NetMode] = [.loop, .tx, .rx]
        let lines = NetDriving.allCases.flatMap { driver in
            ways.flatMap { mode in
                [64, 1518].flatMap { frame in
                    NetLoad.Form.allCases.map {
                        NetLine(NetLoad(driver: driver, mode: mode, frame: frame, form: $0))
                    }
                }
            }
        }
        let alone = NetLoad.Form.allCases.map {
            NetLine(NetLoad(mode: .loop, frame: 64, form: $0, inFlight: 1))
        }
        return lines + alone
    }()

    /// From port to port of a switch, many packets or one alone.
    static let `switch`: [NetLine] = {
        let forms: [NetLoad.Form] = [.split, .packed]
        let lines = [64, 1518].flatMap { frame in
            forms.map { NetLine(NetLoad(mode: .across, frame: frame, form: $0)) }
        }
        let alone = forms.map {
            NetLine(NetLoad(mode: .across, frame: 64, form: $0, inFlight: 1))
        }
        return lines + alone
    }()

    private init(_ load: NetLoad) {
        self.load = load
        let isAlone = load.inFlight == 1
        let way = isAlone ? "trip" : load.mode.place
        let isForeign = load.driver == .testpmd
        name = (isForeign ? "virtio-user-" : "") + "\(way)-\(load.frame)-\(load.form.rawValue)"
        title =
            (isForeign ? "virtio-user, " : "") + (isAlone ? "one packet out" : way)
            + ", \(load.frame) B, \(load.form.title)"
    }

    var remark: String? {
        switch load.mode {
        case .tx:
            "sink: both sides copy each packet into memory of their own; testpmd can't do without,"
                + " ringway-net is told to (`copy:`; its `null:` would leave packets unread)."
        case .rx:
            "source: both sides write every byte of each packet into the driver's memory, testpmd"
                + " out of buffers whose headers it makes anew, ringway-net out of one of zeroes."
        case .loop, .across: nil
        }
    }
}

extension NetMode {
    /// What the back-end is for the driver.
    var place: String {
        switch self {
        case .tx: "sink"
        case .rx: "source"
        case .loop: "loop"
        case .across: "switch"
        }
    }
}
