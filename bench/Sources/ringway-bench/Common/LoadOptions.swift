import ArgumentParser
import Host

/// What every load generator is told of where it runs and what it tells.
struct LoadOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Where the back-end listens.", valueName: "path"))
    var socketPath: String

    @Option(help: "Seconds that are measured.")
    var seconds = 5.0

    @Option(help: "Seconds of load before them that are not.")
    var warmup = 1.0

    @Option(
        help: ArgumentHelp(
            "Processors of the threads that make the load, as 0 or 0,2-3 (default: the first).",
            valueName: "list"))
    var cpus: String?

    @Flag(help: "Guest memory of 2 MiB pages from the host's pool.")
    var hugePages = false

    @Option(
        help: ArgumentHelp(
            "The back-end's process (default: the one at the other end of the socket).",
            valueName: "pid"))
    var pid: Int32?

    @Option(
        help: ArgumentHelp(
            "Two processors to measure a cache line's round trip between, before and after.",
            valueName: "a,b"))
    var c2cCpus = "0,1"

    @Flag(help: "One JSON object on standard output.")
    var json = false

    func validate() throws {
        guard seconds > 0, seconds <= 86_400, warmup >= 0, warmup <= 86_400 else {
            throw ValidationError("--seconds and --warmup: up to a day, and more than nothing")
        }
        guard CPUList(c2cCpus)?.cpus.count == 2 else {
            throw ValidationError("--c2c-cpus \(c2cCpus): two processors, as 0,1")
        }
        if let pid, ProcessUsage(pid: pid) == nil {
            throw ValidationError("--pid \(pid): no such process, or not ours to look at")
        }
    }

    /// The processors for the load, at least one.
    func processors() throws -> [Int32] {
        guard let cpus else {
            let first = (0..<1024 as Range<Int32>).first { Processors.mayRun(on: $0) }
            return [first ?? 0]
        }
        guard let list = CPUList(cpus)?.cpus, !list.isEmpty else {
            throw ValidationError("--cpus \(cpus): not a list of processors like 0-3,6")
        }
        if let other = list.first(where: { !Processors.mayRun(on: $0) }) {
            throw ValidationError("--cpus \(cpus): this process can't run on \(other)")
        }
        return list
    }

    /// Runs a load between two looks at how far the processors are from each other. Without a
    /// connection, before and after, the queues of a back-end are at rest.
    func betweenRoundTrips<Figures>(
        _ run: () throws -> Figures
    ) throws -> (Figures, RoundTrip) {
        let pair = CPUList(c2cCpus)?.cpus ?? [0, 1]
        var trip = RoundTrip()
        trip.before = CacheLine.roundTrip(pair[0], pair[1])?.rounded(digits: 1)
        let figures = try run()
        trip.after = CacheLine.roundTrip(pair[0], pair[1])?.rounded(digits: 1)
        return (figures, trip)
    }
}

/// The ring size that was asked for, if there is such a ring and it has room.
/// - Parameters:
///   - entries: what `load` takes of it.
func checkedRingSize(
    _ size: UInt16, entries: Int, isPacked: Bool, load: String
) throws -> UInt16 {
    guard size > 0, size <= 32_768, isPacked || size.nonzeroBitCount == 1 else {
        throw ValidationError(
            "--queue-size \(size): up to 32768, a power of two if not --packed")
    }
    guard Int(size) >= entries else {
        throw ValidationError("--queue-size \(size): \(load) takes \(entries)")
    }
    return size
}
