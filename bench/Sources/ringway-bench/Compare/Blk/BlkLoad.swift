/// What a driver does to a back-end: the options of `ringway-bench blk`.
struct BlkLoad: DriverLoad {
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

    func words(socket: String, seconds: Double, warmup: Double, cpu: Int) -> [String] {
        var words = [
            "blk", "--socket-path", socket, "--rw", pattern.rawValue, "--bs", "\(blockSize)",
            "--qd", "\(depth)", "--queues", "\(queues)", "--seconds", shortest(seconds),
            "--warmup", shortest(warmup), "--cpus", "\(cpu)", "--json",
        ]
        if idleQueues > 0 { words += ["--idle-queues", "\(idleQueues)"] }
        if let rate { words += ["--rate", "\(rate)"] }
        if usesInterrupts { words += ["--interrupts"] }
        return words
    }
}
