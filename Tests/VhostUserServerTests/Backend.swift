import BlockStores
import Host
import Logging
import Synchronization
import VhostUserFrontend
import VhostUserServer
import VirtioBlock
import VirtioSpec

import func Foundation.NSTemporaryDirectory
import class Foundation.ProcessInfo
import struct Foundation.UUID

/// A real server on a real socket, in this process.
final class Backend: Sendable {
    let path: String
    private let termination: EventFD
    private let thread: Mutex<Thread?>

    /// Serves `store` with lanes of type `Lane` as a disk with these options.
    init<Lane: BlockLane & ~Copyable>(
        _ lane: Lane.Type, _ store: Lane.Store, _ options: BlockOptions,
        _ workers: WorkerOptions = WorkerOptions()
    ) throws {
        let path = NSTemporaryDirectory() + "ringway-\(UUID().uuidString.prefix(8)).sock"
        let termination = try EventFD()
        let end = try termination.descriptor.duplicate().release()
        let listener = try UnixListener(path: path)
        let handed = Mutex<UnixListener?>(listener)
        let box = Handed(handed)
        let device = BlockService(BlockDevice(options), on: store)
        var logger = Logger(label: "test")
        logger.logLevel =
            ProcessInfo.processInfo.environment["RINGWAY_LOG"] == nil ? .critical : .debug
        let log = logger
        let started = try Thread(name: "server") {
            let server = try? Server(
                BlockEngine<Lane>.self, device, workers, termination: OwnedFD(adopting: end),
                logger: log)
            if let listener = box.take() { server?.run(.listener(listener)) }
        }
        self.path = path
        self.termination = termination
        thread = Mutex(started)
    }

    /// A disk in memory.
    convenience init(
        bytes: UInt64 = 8 << 20, workers: WorkerOptions = WorkerOptions(),
        _ change: (inout BlockOptions) -> Void = { _ in }
    ) throws {
        var options = BlockOptions(byteCount: bytes, queueCount: 4)
        change(&options)
        try self.init(MemoryStore.Lane.self, MemoryStore(byteCount: bytes), options, workers)
    }

    func connect() throws(FrontendError) -> FrontendConnection {
        try FrontendConnection(path: path)
    }

    /// A driver that has made its handshake, on guest memory of its own.
    func driver(
        memory: UInt64 = 16 << 20, _ change: (inout BlockDriver.Options) -> Void = { _ in }
    ) throws -> BlockDriver {
        var options = BlockDriver.Options()
        change(&options)
        return try BlockDriver(connect(), GuestRAM(byteCount: memory), options)
    }

    /// Ends the server as SIGTERM would, and waits for it.
    func end() {
        termination.signal()
        if let thread = thread.withLock({ $0.take() }) { thread.join() }
    }

    deinit { end() }
}

/// Carries a listener into the thread that serves it.
final class Handed: Sendable {
    private let listener: Mutex<UnixListener?>
    init(_ listener: consuming Mutex<UnixListener?>) { self.listener = listener }
    func take() -> UnixListener? { listener.withLock { $0.take() } }
}
