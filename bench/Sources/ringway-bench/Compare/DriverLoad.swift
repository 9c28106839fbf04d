import Foundation

/// What a driver does to a back-end: the options of `ringway-bench blk`.
struct DriverLoad: Codable {
    enum Pattern: String, Codable { case randread, randwrite, read, write }

    var pattern = Pattern.randread
    /// Bytes of a request.
    var blockSize = 4096
    /// Requests in flight in each queue.
    var depth = 32
    var queues = 1
    /// Queues that are set up and see no request.
    var idleQueues = 0
    /// Requests a second; nil: as many as get done.
    var rate: Int?
    /// Whether the driver sleeps until it is called, rather than looks all the time.
    var usesInterrupts = false

    /// - Parameters:
    ///   - seconds: how long the measured window is, after `warmup` seconds of the same load.
    func words(socket: String, seconds: Double, warmup: Double, cpu: Int) -> [String] {
        var words = [
            "blk", "--socket-path", socket, "--rw", pattern.rawValue, "--bs", "\(blockSize)",
            "--qd", "\(depth)", "--queues", "\(queues)", "--seconds", text(seconds),
            "--warmup", text(warmup), "--cpus", "\(cpu)", "--json",
        ]
        if idleQueues > 0 { words += ["--idle-queues", "\(idleQueues)"] }
        if let rate { words += ["--rate", "\(rate)"] }
        if usesInterrupts { words += ["--interrupts"] }
        return words
    }

    private func text(_ seconds: Double) -> String {
        seconds == seconds.rounded() ? "\(Int(seconds))" : "\(seconds)"
    }
}

/// What `ringway-bench blk --json` says of a window.
struct DriverSample: Codable {
    struct Latency: Codable {
        let avg: Double
        let p50: Double
        let p99: Double
        let p999: Double
    }

    /// Nanoseconds of a cache line's round trip between the two cores; nil where it is not known.
    struct RoundTrip: Codable {
        let before: Double?
        let after: Double?
    }

    struct Backend: Codable {
        /// Resident memory of its own: without shared memory, which is the guest's.
        let residentKiB: Double
        let voluntarySwitches: Int
        let involuntarySwitches: Int

        enum CodingKeys: String, CodingKey {
            case residentKiB = "rss_private_kib"
            case voluntarySwitches = "context_switches"
            case involuntarySwitches = "context_switches_involuntary"
        }
    }

    let iops: Double
    let mibPerSecond: Double
    /// Microseconds; nil where nothing came back.
    let latency: Latency?
    let errors: Int
    let roundTrip: RoundTrip?
    /// Processor time of the back-end, in microseconds.
    let cpuPerRequest: Double?
    /// Nil where the driver could not look at the back-end.
    let backend: Backend?

    enum CodingKeys: String, CodingKey {
        case iops
        case mibPerSecond = "mib_s"
        case latency = "latency_us"
        case errors
        case roundTrip = "c2c_ns"
        case cpuPerRequest = "cpu_us_per_io"
        case backend
    }
}
