import ArgumentParser
import Host
import VhostUserServer

/// How the queues' threads run.
public struct WorkerArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            Microseconds that a queue without work is watched at most before it sleeps; it learns \
            to watch less where that does not pay. 0 never watches.
            """,
            valueName: "n"))
    public var pollUs = WorkerOptions.defaultPollMicroseconds

    @Option(
        help: ArgumentHelp(
            "Processors for the threads that serve the queues, one each, as 0-3,6.",
            valueName: "list"))
    public var cpus: String?

    @Option(help: "Memory node for the threads: auto (the guest's), off, or a node's number.")
    public var numa = "auto"

    public init() {}

    public func options() throws -> WorkerOptions {
        var list: [Int32] = []
        if let cpus {
            guard let parsed = CPUList(cpus) else {
                throw ValidationError("--cpus \(cpus): not a list of processors like 0-3,6")
            }
            list = parsed.cpus
            if let other = list.first(where: { !Processors.mayRun(on: $0) }) {
                throw ValidationError("--cpus \(cpus): this process can't run on \(other)")
            }
        }
        guard pollUs <= 1_000_000 else {
            throw ValidationError("--poll-us \(pollUs): at most 1000000, a second")
        }
        guard let placement = Placement(numa) else {
            throw ValidationError("--numa \(numa): auto, off or a node's number")
        }
        if case .node(let node) = placement, !NUMA.exists(node) {
            throw ValidationError("--numa \(node): this machine has \(NUMA.nodeCount) node(s)")
        }
        return WorkerOptions(pollMicroseconds: pollUs, cpus: list, placement: placement)
    }
}
