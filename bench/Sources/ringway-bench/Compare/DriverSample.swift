import Foundation

/// What a driver does to a back-end: the options of a load generator.
protocol DriverLoad: Encodable {
    /// - Parameters:
    ///   - seconds: how long the measured window is, after `warmup` seconds of the same load.
    func words(socket: String, seconds: Double, warmup: Double, cpu: Int) -> [String]
}

/// A number of seconds as an option has it.
func shortest(_ seconds: Double) -> String {
    seconds == seconds.rounded() ? "\(Int(seconds))" : "\(seconds)"
}

/// What `ringway-bench blk --json` or `net --json` says of a window.
struct DriverSample: Codable {
    struct Latency: Codable {
        let avg: Double
        let p50: Double
        let p99: Double
        let p999: Double
    }

    struct Backend: Codable {
        /// Resident memory of its own: without shared memory, which is the guest's.
        let residentKiB: Double
        /// Huge pages of its own; nil where the generator does not say.
        var hugeKiB: Double?
        let voluntarySwitches: Int
        let involuntarySwitches: Int

        enum CodingKeys: String, CodingKey {
            case residentKiB = "rss_private_kib"
            case hugeKiB = "huge_private_kib"
            case voluntarySwitches = "context_switches"
            case involuntarySwitches = "context_switches_involuntary"
        }

        var memoryKiB: Double { residentKiB + (hugeKiB ?? 0) }
    }

    /// Requests or packets a second.
    var rate: Double
    /// MiB/s of requests, Gbit/s of packets.
    var throughput: Double
    /// Microseconds; nil where nothing came back, and with many packets at once.
    var latency: Latency?
    var errors: Int
    /// Packets sent and not come in.
    var lost = 0
    /// Of a cache line, between the two cores; nil where it is not known.
    var roundTrip: RoundTrip?
    /// Processor time of the back-end for each request or packet, in microseconds.
    var cpuEach: Double?
    /// Nil where the driver could not look at the back-end.
    var backend: Backend?
    /// Whether packets were counted.
    var isOfPackets = false
}

/// By the names that the load generators use, in their units.
extension DriverSample {
    private enum Keys: String, CodingKey {
        case iops
        case mpps
        case mibPerSecond = "mib_s"
        case gbitPerSecond = "gbit_s"
        case latency = "latency_us"
        case errors
        case lost
        case roundTrip = "c2c_ns"
        case cpuPerRequest = "cpu_us_per_io"
        case cpuPerPacket = "cpu_ns_per_packet"
        case backend
    }

    init(from decoder: any Decoder) throws {
        let all = try decoder.container(keyedBy: Keys.self)
        isOfPackets = all.contains(.mpps)
        if isOfPackets {
            rate = try all.decode(Double.self, forKey: .mpps) * 1e6
            throughput = try all.decode(Double.self, forKey: .gbitPerSecond)
            cpuEach = try all.decodeIfPresent(Double.self, forKey: .cpuPerPacket).map { $0 / 1000 }
        } else {
            rate = try all.decode(Double.self, forKey: .iops)
            throughput = try all.decode(Double.self, forKey: .mibPerSecond)
            cpuEach = try all.decodeIfPresent(Double.self, forKey: .cpuPerRequest)
        }
        latency = try all.decodeIfPresent(Latency.self, forKey: .latency)
        errors = try all.decode(Int.self, forKey: .errors)
        lost = try all.decodeIfPresent(Int.self, forKey: .lost) ?? 0
        roundTrip = try all.decodeIfPresent(RoundTrip.self, forKey: .roundTrip)
        backend = try all.decodeIfPresent(Backend.self, forKey: .backend)
    }

    func encode(to encoder: any Encoder) throws {
        var all = encoder.container(keyedBy: Keys.self)
        if isOfPackets {
            try all.encode(rate / 1e6, forKey: .mpps)
            try all.encode(throughput, forKey: .gbitPerSecond)
            try all.encodeIfPresent(cpuEach.map { $0 * 1000 }, forKey: .cpuPerPacket)
            try all.encode(lost, forKey: .lost)
        } else {
            try all.encode(rate, forKey: .iops)
            try all.encode(throughput, forKey: .mibPerSecond)
            try all.encodeIfPresent(cpuEach, forKey: .cpuPerRequest)
        }
        try all.encodeIfPresent(latency, forKey: .latency)
        try all.encode(errors, forKey: .errors)
        try all.encodeIfPresent(roundTrip, forKey: .roundTrip)
        try all.encodeIfPresent(backend, forKey: .backend)
    }
}
