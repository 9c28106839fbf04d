import Foundation

/// Where back-ends are started and driven: the back-end on one processor, the driver on another.
struct TestStand {
    /// The program that drives, `ringway-bench` or what takes its options.
    let generator: String
    /// Sockets and logs.
    let folder: String
    var seconds = 2.0
    var warmup = 0.5
    let driverCPU = 0
    let backendCPU = 1

    /// A back-end that listens.
    struct Running {
        let child: Child
        /// Of the first port.
        let socket: String
    }

    /// The socket of one more port of a back-end whose first one listens at `first`.
    static func secondSocket(_ first: String) -> String { first + ".2" }

    /// Starts a back-end and waits until it listens.
    /// - Parameters:
    ///   - slot: tells its socket and log from those of others that run beside it.
    ///   - hasTwoPorts: whether it listens at a second socket, too.
    ///   - words: its command line, for a socket.
    func start(
        _ name: String, slot: Int = 0, hasTwoPorts: Bool = false,
        _ words: (_ socket: String) -> [String]
    ) throws -> Running {
        let socket = socket(slot: slot)
        let sockets = [socket] + (hasTwoPorts ? [Self.secondSocket(socket)] : [])
        let log = "\(folder)/backend-\(slot).log"
        for path in sockets { try? FileManager.default.removeItem(atPath: path) }
        let child = try Child(
            words(socket), cpu: backendCPU, input: try silence(), output: log + ".out",
            errors: log)
        try awaitListening(name, child, sockets, log: log)
        return Running(child: child, socket: socket)
    }

    /// Where the first port of a back-end is.
    func socket(slot: Int = 0) -> String { "\(folder)/\(slot).sock" }

    /// Waits until `child` listens at all of `sockets`; ends it where it does not.
    func awaitListening(
        _ name: String, _ child: Child, _ sockets: [String], log: String
    ) throws {
        let deadline = Date(timeIntervalSinceNow: 20)
        while !sockets.allSatisfy({ Self.listens(child, $0) }) {
            guard child.isAlive, Date() < deadline else {
                child.kill()
                throw BenchError(
                    "\(name) does not listen: \(Self.lastLine(of: log))")
            }
            Thread.sleep(forTimeInterval: 0.005)
        }
    }

    /// What never ends and never says anything, for standard input: there are programs that end with
    /// it.
    private func silence() throws -> String {
        let path = "\(folder)/silence"
        guard unsafe mkfifo(path, 0o600) == 0 || errno == EEXIST else {
            throw BenchError("\(path) can't be made")
        }
        return path
    }

    /// A driver at work, whose result is still to come.
    struct Driving {
        let child: Child
        let output: String
        let log: String
        let seconds: Double
    }

    func startDriver(
        _ load: some DriverLoad, on running: Running, seconds: Double, warmup: Double, slot: Int = 0
    ) throws -> Driving {
        let log = "\(folder)/driver-\(slot).log"
        let words =
            load.words(socket: running.socket, seconds: seconds, warmup: warmup, cpu: driverCPU)
            + ["--pid", "\(running.child.pid)"]
        // It pins its own threads: between windows it also looks at the other processor.
        let child = try Child(
            [generator] + words, cpu: nil, output: log + ".out", errors: log)
        return Driving(child: child, output: log + ".out", log: log, seconds: seconds + warmup)
    }

    /// Drives a back-end for a window.
    func drive(
        _ load: some DriverLoad, _ running: Running, seconds: Double? = nil
    ) throws -> DriverSample {
        try result(
            of: startDriver(
                load, on: running, seconds: seconds ?? self.seconds, warmup: warmup))
    }

    /// Waits for what the driver says.
    func result(of driving: Driving) throws -> DriverSample {
        let code = driving.child.wait(atMost: driving.seconds + 60)
        // Failed requests are told in the result too, and the driver ends with 1.
        let data = FileManager.default.contents(atPath: driving.output) ?? Data()
        guard code == 0 || (code == 1 && !data.isEmpty) else {
            let end = code.map { "exit status \($0)" } ?? "killed, by the time limit perhaps"
            throw BenchError("the driver failed (\(end)): \(Self.lastLine(of: driving.log))")
        }
        do { return try JSONDecoder().decode(DriverSample.self, from: data) } catch {
            throw BenchError("the driver's result is not what it should be: \(error)")
        }
    }

    /// Measures one window on a back-end that runs.
    func window(
        _ line: String, _ load: some DriverLoad, _ name: String, _ running: Running, _ round: Int,
        seconds: Double? = nil
    ) throws -> Window {
        let date = Date()
        let sample = try drive(load, running, seconds: seconds)
        return Window(
            line: line, backend: name, round: round, date: date, load: AnyLoad(load: load),
            distance: Distance(sample.roundTrip), sample: sample)
    }

    /// Whether a socket of that path takes connections, in the network that `child` is in. To try it
    /// would be to be its first client.
    private static func listens(_ child: Child, _ path: String) -> Bool {
        let accepting = "00010000"
        let table = procText("/proc/\(child.pid)/net/unix") ?? ""
        return table.split(separator: "\n").contains {
            $0.hasSuffix(" " + path)
                && $0.split(separator: " ").dropFirst(3).first == accepting[...]
        }
    }

    static func lastLine(of log: String) -> String {
        let text = String(
            decoding: FileManager.default.contents(atPath: log) ?? Data(), as: UTF8.self)
        return text.split(separator: "\n").last.map(String.init) ?? "no word of why"
    }
}
