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
struct Backend {
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
    /// Queues offered; nil leaves the program's default, but for qemu-storage-daemon 1.
    var queueCount: Int?

    /// As tables and `--peers` name it. An engine means nothing without a file.
    func name(on store: Store) -> String {
        switch kind {
        case .ringway(_, nil): Self.defaultName
        case .ringway(_, let poll?): "ringway-poll\(poll)us"
        case .storageDaemon(let engine, let loop):
            store == .null ? "qsd-null-\(loop.rawValue)" : "qsd-\(engine.rawValue)-\(loop.rawValue)"
        }
    }

    /// Ringway without options of ours.
    static let defaultName = "ringway"

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
    func words(for store: Store, _ paths: StorePaths, socket: String) -> [String] {
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

    /// Every configuration of the peers; with `few`, one for each engine that reaches a page cache.
    static func peers(few: Bool) -> [Backend] {
        if few {
            return [Engine.ioUring, .threads].map {
                Backend(kind: .storageDaemon(engine: $0, loop: .thread))
            }
        }
        return Engine.allCases.flatMap { engine in
            Loop.allCases.map { Backend(kind: .storageDaemon(engine: engine, loop: $0)) }
        }
    }
}
