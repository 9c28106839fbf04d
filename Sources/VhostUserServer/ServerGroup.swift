import Host
import Logging
import Synchronization
import VirtioDevice

/// Serves several devices that pass things to each other, each to front-ends of its own, until told to
/// end. One worker runs the queues of all: what goes from one device to another takes no lock.
public final class ServerGroup: Sendable {
    private let pool: WorkerPool
    private let members: [Member]
    /// Devices without front-ends.
    private let unattended: [Int]
    private let trouble: Trouble
    private let termination: OwnedFD

    private final class Member: Sendable {
        let server: Server
        let endpoint: Mutex<Endpoint?>

        init(_ server: consuming Server, _ endpoint: consuming sending Endpoint) {
            self.server = server
            self.endpoint = Mutex(endpoint)
        }

        func run() {
            if let endpoint = endpoint.withLock({ $0.take() }) { server.runSessions(endpoint) }
        }
    }

    /// - Parameters:
    ///   - engine: what runs the devices' queues.
    ///   - service: what the engines work for.
    ///   - devices: all with as many queues.
    ///   - endpoints: called with each device's number for where its front-ends come from; nil for
    ///     a device that has none, whose engine runs its second queue without a ring.
    ///   - options: but for the number of workers.
    ///   - termination: readable when all are to end.
    ///   - loggers: one for each device.
    public init<Engine: QueueEngine & ~Copyable>(
        _ engine: Engine.Type, _ service: Engine.Device, _ devices: [any VirtioDevice],
        _ endpoints: (Int) throws -> sending Endpoint?, _ options: WorkerOptions,
        termination: borrowing OwnedFD, logger: Logger, loggers: [Logger]
    ) throws {
        precondition(!devices.isEmpty && devices.count == loggers.count)
        var options = options
        options.count = 1
        options.cpus = Array(options.cpus.prefix(1))
        let pool = WorkerPool(
            engine, service, like: devices[0], deviceCount: devices.count, options, logger)
        self.pool = pool
        trouble = try Trouble()
        self.termination = try termination.duplicate()
        var members: [Member] = []
        var unattended: [Int] = []
        for (number, device) in devices.enumerated() {
            guard let endpoint = try endpoints(number) else {
                unattended.append(number)
                continue
            }
            let server = try Server(
                device, number: number, in: pool, termination: termination.duplicate(),
                logger: loggers[number])
            members.append(Member(server, endpoint))
        }
        self.members = members
        self.unattended = unattended
    }

    /// Returns when the end was asked for, or when the last front-end has gone that may come.
    public func run() throws(SystemError) {
        defer { pool.end(milliseconds: Server.farewellMilliseconds) }
        for number in unattended { try startUnattended(number) }
        var threads = try Table(trying: members.count) { number throws(SystemError) in
            let member = members[number]
            return Optional(try Thread(name: "ringway p\(number + 1)") { member.run() })
        }
        for number in members.indices {
            if let thread = threads[number].take() { thread.join() }
        }
    }

    private func startUnattended(_ device: Int) throws(SystemError) {
        switch try pool.ask(
            device, 1, .start(.withoutRing(trouble)), interruption: termination.raw)
        {
        case .failed(let error), .broken(let error): throw error
        default: break
        }
    }
}
