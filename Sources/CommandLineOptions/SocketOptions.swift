import ArgumentParser
import Host
import VhostUserServer

/// Where the front-end comes from.
public struct SocketOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Listen on this Unix socket.", valueName: "path"))
    public var socketPath: String?

    @Option(
        help: ArgumentHelp(
            "Use this open socket instead, listening or connected.", valueName: "n"))
    public var fd: Int32?

    @Flag(help: "Connect to --socket-path, where the VMM listens, and again when it is lost.")
    public var connect = false

    @Flag(help: "End when the first front-end disconnects.")
    public var exitOnDisconnect = false

    @Option(help: ArgumentHelp("The socket's permissions, as 660.", valueName: "mode"))
    public var socketMode: String?

    @Option(help: ArgumentHelp("The socket's user, by name or number.", valueName: "user"))
    public var socketOwner: String?

    @Option(help: ArgumentHelp("The socket's group, by name or number.", valueName: "group"))
    public var socketGroup: String?

    public init() {}

    public mutating func validate() throws {
        switch (socketPath, fd) {
        case (nil, nil): throw ValidationError("no socket: give --socket-path PATH or --fd N")
        case (.some, .some):
            throw ValidationError("--socket-path and --fd exclude each other; give one of them")
        case (nil, .some) where socketMode != nil || socketOwner != nil || socketGroup != nil,
            (.some, nil)
        where connect && (socketMode != nil || socketOwner != nil || socketGroup != nil):
            throw ValidationError("--socket-mode, -owner and -group are for a socket we make")
        case (nil, .some) where connect:
            throw ValidationError("--connect needs --socket-path: the socket to connect to")
        default: break
        }
    }

    public func endpoint() throws -> Endpoint {
        if let fd { return try adopted(fd) }
        let path = socketPath ?? ""
        if connect {
            guard path.utf8.count <= UnixSocket.longestPath else {
                throw ValidationError(Self.text(.pathTooLong(path.utf8.count), path))
            }
            return .connect(path)
        }
        return .listener(
            try Self.listen(
                path, mode: socketMode, owner: socketOwner, group: socketGroup,
                option: "--socket-path"))
    }

    /// Listens on the socket at `path`, which gets these permissions, user and group.
    /// - Parameter option: which option named the path.
    public static func listen(
        _ path: String, mode: String?, owner: String?, group: String?, option: String
    ) throws -> UnixListener {
        var access = SocketAccess(owner: owner, group: group)
        if let mode {
            guard let bits = UInt32(mode, radix: 8), bits <= 0o777 else {
                throw ValidationError("--socket-mode \(mode): not permissions like 660")
            }
            access.mode = bits
        }
        do throws(ListenFailure) { return try UnixListener(path: path, access: access) } catch {
            throw ValidationError(text(error, path, option))
        }
    }

    private func adopted(_ number: Int32) throws -> Endpoint {
        // 0, 1 and 2 are standard streams, whatever they are connected to.
        guard number > 2, let socket = OwnedFD(checking: number),
            let kind = UnixListener.kind(socket)
        else {
            throw ValidationError(
                "--fd \(number): not an open socket, a Unix stream that listens or is connected")
        }
        switch kind {
        case .listening: return .listener(UnixListener(adopting: socket))
        case .connected: return .connected(UnixSocket(adopting: socket))
        }
    }

    private static func text(
        _ failure: ListenFailure, _ path: String, _ option: String = "--socket-path"
    ) -> String {
        switch failure {
        case .pathTooLong(let count):
            "\(option): \(count) bytes; a socket's path has 1 to \(UnixSocket.longestPath)"
        case .liveOwner(let holder):
            "\(path): in use by \(holder ?? "another process"), which serves this socket"
        case .abstractPath: "\(path): an abstract name can't be guarded; give a path"
        case .notASocket: "\(path): exists and is no socket; remove it or choose another path"
        case .unknownUser(let name): "--socket-owner \(name): no such user"
        case .unknownGroup(let name): "--socket-group \(name): no such group"
        case .system(let error) where error.code == SystemErrorCode.noEntry:
            "\(path): no such folder; make it, or choose another path"
        case .system(let error) where error.code == SystemErrorCode.accessDenied:
            "\(path): permission denied; choose a folder that you may write"
        case .system(let error): "\(path): \(error)"
        }
    }
}
