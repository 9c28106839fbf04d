import ArgumentParser
import Host
import VhostUserServer

/// Where the front-end comes from.
struct SocketOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Listen on this Unix socket.", valueName: "path"))
    var socketPath: String?

    @Option(
        help: ArgumentHelp(
            "Use this open socket instead, listening or connected.", valueName: "n"))
    var fd: Int32?

    @Flag(help: "Connect to --socket-path, where the VMM listens, and again when it is lost.")
    var connect = false

    @Flag(help: "End when the first front-end disconnects.")
    var exitOnDisconnect = false

    @Option(help: ArgumentHelp("The socket's permissions, as 660.", valueName: "mode"))
    var socketMode: String?

    @Option(help: ArgumentHelp("The socket's user, by name or number.", valueName: "user"))
    var socketOwner: String?

    @Option(help: ArgumentHelp("The socket's group, by name or number.", valueName: "group"))
    var socketGroup: String?

    func validate() throws {
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

    func endpoint() throws -> Endpoint {
        if let fd { return try adopted(fd) }
        let path = socketPath ?? ""
        if connect {
            guard path.utf8.count <= UnixSocket.longestPath else {
                throw ValidationError(Self.text(.pathTooLong(path.utf8.count), path))
            }
            return .connect(path)
        }
        var access = SocketAccess(owner: socketOwner, group: socketGroup)
        if let socketMode {
            guard let mode = UInt32(socketMode, radix: 8), mode <= 0o777 else {
                throw ValidationError("--socket-mode \(socketMode): not permissions like 660")
            }
            access.mode = mode
        }
        do throws(ListenFailure) {
            return .listener(try UnixListener(path: path, access: access))
        } catch { throw ValidationError(Self.text(error, path)) }
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

    private static func text(_ failure: ListenFailure, _ path: String) -> String {
        switch failure {
        case .pathTooLong(let count):
            "--socket-path: \(count) bytes; a socket's path has 1 to \(UnixSocket.longestPath)"
        case .liveOwner(let holder):
            "\(path): in use by \(holder ?? "another process"), which serves this socket"
        case .abstractPath: "\(path): an abstract name can't be guarded; give a path"
        case .notASocket: "\(path): exists and is no socket; remove it or choose another path"
        case .unknownUser(let name): "--socket-owner \(name): no such user"
        case .unknownGroup(let name): "--socket-group \(name): no such group"
        case .system(let error): "\(path): \(error)"
        }
    }
}
