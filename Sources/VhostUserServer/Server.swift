import Host
import Logging
import VirtioDevice

/// Where front-ends come from.
public enum Endpoint: ~Copyable, Sendable {
    /// They connect to us, one after the other.
    case listener(UnixListener)
    /// One connection, made already.
    case connected(UnixSocket)
    /// We connect to the socket of theirs at this path, and again whenever it is lost.
    case connect(String)
}

/// Serves one device to one front-end after the other, until told to end.
public struct Server: ~Copyable, Sendable {
    private let pool: WorkerPool
    private let workers: DeviceWorkers
    private let logger: Logger
    /// Readable when the process is to end.
    private let termination: OwnedFD
    /// Ends with the first front-end.
    private let endsOnDisconnect: Bool

    /// - Parameters:
    ///   - engine: what runs the device's queues.
    ///   - service: what the engines work for.
    ///   - termination: readable when the server is to end.
    public init<Engine: QueueEngine & ~Copyable>(
        _ engine: Engine.Type, _ service: Engine.Device, _ device: any VirtioDevice,
        _ options: WorkerOptions,
        termination: consuming OwnedFD,
        endsOnDisconnect: Bool = false, logger: Logger
    ) throws(SystemError) {
        let pool = WorkerPool(
            engine, service, like: device, deviceCount: 1, options, logger)
        workers = try DeviceWorkers(device, in: pool)
        self.pool = pool
        self.termination = termination
        self.endsOnDisconnect = endsOnDisconnect
        self.logger = logger
    }

    /// Serves one of the devices of `pool`, which ends with others.
    init(
        _ device: any VirtioDevice, number: Int, in pool: WorkerPool,
        termination: consuming OwnedFD, logger: Logger
    ) throws(SystemError) {
        workers = try DeviceWorkers(device, number: number, in: pool)
        self.pool = pool
        self.termination = termination
        endsOnDisconnect = false
        self.logger = logger
    }

    /// Serves a device whose engines need nothing but the device.
    public init<Engine: QueueEngine & ~Copyable>(
        _ engine: Engine.Type, _ device: Engine.Device, _ options: WorkerOptions,
        termination: consuming OwnedFD,
        endsOnDisconnect: Bool = false, logger: Logger
    ) throws(SystemError) where Engine.Device: VirtioDevice {
        try self.init(
            engine, device, device, options, termination: termination,
            endsOnDisconnect: endsOnDisconnect, logger: logger)
    }

    /// By which anybody says that the device's configuration space has changed.
    public var changes: ConfigurationSignal { workers.changes }

    /// Milliseconds that workers have to finish what is in flight when the process is to end.
    static var farewellMilliseconds: Int { 700 }
    private static var retryMilliseconds: Int32 { 1000 }

    /// Returns when a signal asked for the end, or when the last front-end has gone that may come.
    public func run(_ endpoint: consuming Endpoint) {
        runSessions(endpoint)
        pool.end(milliseconds: Self.farewellMilliseconds)
    }

    /// Runs one session after the other; the workers run on.
    func runSessions(_ endpoint: consuming Endpoint) {
        // A call whose pipe nobody reads any more must not end the program around us.
        Signals.ignoreBrokenPipes()
        switch consume endpoint {
        case .listener(let listener): runListening(listener)
        case .connected(let socket): _ = serve(socket)
        case .connect(let path): runConnecting(path)
        }
    }

    private func runListening(_ listener: borrowing UnixListener) {
        while true {
            var set = PollSet()
            set.add(listener.descriptor.raw)
            let stop = set.add(termination.raw)
            _ = set.wait(milliseconds: -1)
            if set.isReady(stop) { return }
            do throws(SystemError) {
                guard let socket = try listener.accept() else { continue }
                guard serve(socket), !endsOnDisconnect else { return }
            } catch {
                // Out of descriptors, say: what is there to do but to try again a little later?
                logger.error("no connection: \(error)")
                guard pause() else { return }
            }
        }
    }

    private func runConnecting(_ path: String) {
        var hasComplained = false
        while true {
            do throws(SystemError) {
                let socket = try UnixSocket.connect(path: path)
                hasComplained = false
                guard serve(socket), !endsOnDisconnect else { return }
            } catch {
                if !hasComplained {
                    logger.warning("\(path): \(error.reason); trying again every second")
                }
                hasComplained = true
            }
            guard pause() else { return }
        }
    }

    /// Waits a moment; false when the process is to end.
    private func pause() -> Bool {
        var set = PollSet()
        set.add(termination.raw)
        return set.wait(milliseconds: Self.retryMilliseconds) == 0
    }

    /// Serves one front-end. Returns false when the process is to end.
    private func serve(_ socket: consuming UnixSocket) -> Bool {
        let backend = BackendChannel(workers.changes, beside: socket, logger)
        let channel = MessageChannel(
            socket, termination: termination.raw, trouble: workers.trouble)
        logger.info("front-end connected\(channel.peer.map { " (pid \($0))" } ?? "")")
        let session = Session(workers, backend, termination: termination.raw, logger)
        switch session.serve(channel) {
        case .terminated: return false
        case .disconnected: logger.info("front-end disconnected")
        case .refused: logger.error("connection closed: the front-end asked for no answer")
        case .memoryLost:
            logger.error("connection closed: the front-end shortened the guest's memory")
        case .stuck: logger.error("connection closed: the front-end reads no replies")
        case .violation(let violation): logger.error("connection closed: \(violation)")
        }
        return true
    }
}
