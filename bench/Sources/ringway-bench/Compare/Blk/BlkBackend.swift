import Foundation

/// Where the bytes are.
enum Store: String, Codable {
    /// A file in /dev/shm.
    case sharedMemoryFile
    /// Nowhere: reads give zeroes.
    case null
    /// The back-end's own memory.
    case memory
    /// A file on a disk, past the page cache.
    case directFile
    /// A file on a disk that the page cache holds.
    case cachedFile

    /// Whether the bytes are in the file on a disk.
    var isOnDisk: Bool { self == .directFile || self == .cachedFile }
}

/// The files of the stores, and the sizes of those that have none.
struct StorePaths {
    let sharedMemoryFile: String
    let diskFile: String

    func path(of store: Store) -> String? {
        switch store {
        case .sharedMemoryFile: sharedMemoryFile
        case .directFile, .cachedFile: diskFile
        case .null, .memory: nil
        }
    }
}

/// A back-end in one configuration: ours or a peer's.
struct BlkBackend: Contestant {
    enum Kind {
        /// - pollMicroseconds: nil leaves the program's default.
        case ringway(program: String, pollMicroseconds: Int?)
        /// qemu-storage-daemon.
        case storageDaemon(engine: Engine, loop: Loop)
    }

    /// How qemu-storage-daemon reaches a file.
    enum Engine: String, CaseIterable {
        case ioUring = "io_uring"
        case threads
        /// Linux's older asynchronous I/O, which QEMU takes with direct I/O only.
        case native
    }

    /// Which thread of qemu-storage-daemon serves the export, and how long it looks for work.
    enum Loop: String, CaseIterable {
        case main
        /// An I/O thread, with the default of 32768 ns.
        case thread = "iothread"
        case sleepy = "iothread-poll0"
        case eager = "iothread-poll1ms"

        var object: String? {
            switch self {
            case .main: nil
            case .thread: "iothread,id=t"
            case .sleepy: "iothread,id=t,poll-max-ns=0"
            case .eager: "iothread,id=t,poll-max-ns=1000000"
            }
        }
    }

    let kind: Kind
    var paths = StorePaths(sharedMemoryFile: "", diskFile: "")
    /// Queues offered; nil leaves the program's default, but for qemu-storage-daemon 1.
    var queueCount: Int?

    /// As tables and `--peers` name it. An engine means nothing without a file.
    func name(on store: Store) -> String {
        switch kind {
        case .ringway(_, nil): Contest.ourDefault
        case .ringway(_, let poll?): "ringway-poll\(poll)us"
        case .storageDaemon(let engine, let loop):
            store == .null ? "qsd-null-\(loop.rawValue)" : "qsd-\(engine.rawValue)-\(loop.rawValue)"
        }
    }

    var isOurs: Bool {
        if case .ringway = kind { true } else { false }
    }

    /// Whether this configuration exists for the store, and differs from all others there.
    func serves(_ store: Store) -> Bool {
        switch (kind, store) {
        case (.ringway, _): true
        case (.storageDaemon, .memory): false
        case (.storageDaemon(let engine, _), .null): engine == .ioUring
        case (.storageDaemon, .directFile): true
        case (.storageDaemon(let engine, _), _): engine != .native
        }
    }

    /// The command line that serves the store at the socket.
    func words(for store: Store, socket: String) -> [String] {
        switch kind {
        case .ringway(let program, let poll):
            var words = [program, "--socket-path", socket, "--log-level", "warning"]
            switch store {
            case .null: words += ["--store", "null:1G"]
            case .memory: words += ["--store", "memory:256M"]
            default: words += ["--blk-file", paths.path(of: store) ?? ""]
            }
            if store == .directFile { words += ["--cache", "direct"] }
            if let poll { words += ["--poll-us", "\(poll)"] }
            if let queueCount { words += ["--num-queues", "\(queueCount)"] }
            return words
        case .storageDaemon(let engine, let loop):
            var words = [Self.storageDaemon]
            var export = "vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path=\(socket)"
            export += ",writable=on,num-queues=\(queueCount ?? 1)"
            if let object = loop.object {
                words += ["--object", object]
                export += ",iothread=t"
            }
            let file = paths.path(of: store).map {
                "file,node-name=f,filename=\($0),aio=\(engine.rawValue),"
                    + "cache.direct=\(store == .directFile ? "on" : "off")"
            }
            words += ["--blockdev", file ?? "null-co,node-name=f,size=\(1 << 30),read-zeroes=on"]
            return words + ["--export", export]
        }
    }

    static let storageDaemon = "qemu-storage-daemon"
    /// The Debian package that brings it.
    static let storageDaemonPackage = "qemu-system-common"
}

extension BlkBackend {
    /// Every configuration of the peers; with `few`, one for each engine that reaches a page cache.
    static func peers(few: Bool, _ paths: StorePaths) -> [BlkBackend] {
        let engines = few ? [.ioUring, .threads] : Engine.allCases
        let loops = few ? [.thread] : Loop.allCases
        return engines.flatMap { engine in
            loops.map { BlkBackend(kind: .storageDaemon(engine: engine, loop: $0), paths: paths) }
        }
    }
}

/// On a line.
extension BlkBackend {
    func serves(_ line: BlkLine) -> Bool { serves(line.store) }
    func name(on line: BlkLine) -> String { name(on: line.store) }

    func words(on line: BlkLine, socket: String) -> [String] {
        words(for: line.store, socket: socket)
    }

    func window(
        _ line: BlkLine, on stand: TestStand, round: Int, seconds: Double?
    ) throws -> Window {
        let window = try stand.window(
            line.name, line.store, line.load, self, round: round, seconds: seconds)
        if line.store.isOnDisk, line.load.pattern == .randwrite {
            try TestFile.settle(paths.diskFile)
        }
        return window
    }

    static func versions(_ contestants: [BlkBackend]) -> [(String, String)] {
        var versions: [(String, String)] = []
        for backend in contestants {
            guard case .ringway(let program, _) = backend.kind else { continue }
            versions.append(("ringway-blk", Machine.version(ofBuilt: program)))
            break
        }
        if contestants.contains(where: { !$0.isOurs }) {
            versions.append((storageDaemon, Tool.firstLine([storageDaemon, "--version"])))
        }
        return versions
    }
}

extension TestStand {
    func start(_ backend: BlkBackend, _ store: Store, slot: Int = 0) throws -> Running {
        try start(backend.name(on: store), slot: slot) { backend.words(for: store, socket: $0) }
    }

    /// Starts the back-end, makes what it needs ready, and measures one window.
    func window(
        _ line: String, _ store: Store, _ load: BlkLoad, _ backend: BlkBackend, round: Int,
        seconds: Double? = nil
    ) throws -> Window {
        let running = try start(backend, store)
        defer { running.child.end() }
        if store == .memory {
            // Memory that was never written to is not there yet.
            var fill = self
            fill.warmup = 0
            let pattern = BlkLoad(pattern: .write, blockSize: 131_072, depth: 32)
            _ = try fill.drive(pattern, running, seconds: 0.5)
        }
        return try window(line, load, backend.name(on: store), running, round, seconds: seconds)
    }
}
