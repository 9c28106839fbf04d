import CLinux

/// Why a socket path could not be taken.
public enum ListenFailure: Error, Equatable, Sendable {
    case pathTooLong(Int)
    /// Somebody serves this socket: "ringway-blk (pid 123)" where known.
    case liveOwner(String?)
    case notASocket
    /// A name in the abstract namespace, which has no permissions and no lock.
    case abstractPath
    case unknownUser(String)
    case unknownGroup(String)
    case system(SystemError)
}

/// Who may reach a socket.
public struct SocketAccess: Sendable {
    /// Permission bits, such as 0o660; nil leaves the umask's.
    public var mode: UInt32?
    /// A user's name or number; nil leaves the process's own.
    public var owner: String?
    public var group: String?

    public init(mode: UInt32? = nil, owner: String? = nil, group: String? = nil) {
        self.mode = mode
        self.owner = owner
        self.group = group
    }
}

/// A listening Unix socket.
///
/// A path is guarded by a lock file beside it (PATH.lock), held as long as the listener lives. So a
/// stale socket is told from a live one without asking it, and is replaced; a live one never is.
public struct UnixListener: ~Copyable, Sendable {
    public let descriptor: OwnedFD
    private let path: String?
    /// The socket's inode, by which it is known again at the end.
    private let inode: UInt64
    private let lock: OwnedFD?

    /// Takes over a listening socket that somebody else bound.
    public init(adopting descriptor: consuming OwnedFD) {
        _ = clinux_set_nonblocking(descriptor.raw)
        _ = clinux_set_cloexec(descriptor.raw)
        self.descriptor = descriptor
        path = nil
        inode = 0
        lock = nil
    }

    private init(
        bound descriptor: consuming OwnedFD, _ path: String, _ lock: consuming OwnedFD
    ) {
        self.descriptor = descriptor
        self.path = path
        inode = File.inode(path) ?? 0
        self.lock = .some(lock)
    }

    /// Binds `path` and listens.
    public init(path: String, access: SocketAccess = SocketAccess()) throws(ListenFailure) {
        guard let address = SocketAddress(path: path) else {
            throw .pathTooLong(path.utf8.count)
        }
        guard !path.hasPrefix("@") else { throw .abstractPath }
        let owners = try Self.owners(access)
        let lock = try Self.lock(path + ".lock")
        try Self.removeStale(path, address)
        let raw = socket(
            AF_UNIX,
            Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard raw >= 0 else { throw .system(.last("socket")) }
        let descriptor = OwnedFD(adopting: raw)
        let bound = address.bind(raw)
        guard bound == 0 else { throw .system(SystemError("bind", -bound)) }
        // From here on a throw leaves nothing behind: `deinit` takes the path away again.
        let listener = UnixListener(bound: descriptor, path, lock)
        try Self.apply(owners, access.mode, path)
        guard listen(listener.descriptor.raw, 8) == 0 else { throw .system(.last("listen")) }
        self = listener
    }

    deinit {
        // The lock file goes last, while it is still locked: who waits for it finds no socket.
        if let path {
            // Somebody may have put a socket of his own there meanwhile.
            if File.inode(path) == inode { File.remove(path) }
            File.remove(path + ".lock")
        }
    }

    /// The next connection, or nil where none waits.
    public borrowing func accept() throws(SystemError) -> UnixSocket? {
        let raw = clinux_accept(descriptor.raw)
        if raw >= 0 { return UnixSocket(adopting: OwnedFD(adopting: raw)) }
        switch -raw {
        case EAGAIN, EINTR, ECONNABORTED: return nil
        default: throw SystemError("accept", -raw)
        }
    }

    /// What a descriptor that was handed to us is.
    public enum Handed: Sendable { case listening, connected }

    /// Nil where it is no Unix stream socket, or one that is neither.
    public static func kind(_ descriptor: borrowing OwnedFD) -> Handed? {
        switch clinux_unix_stream(descriptor.raw) {
        case 1: .listening
        case 2: .connected
        default: nil
        }
    }
}
