import Host
import Synchronization
import VhostUserFrontend

/// A back-end that answers the handshake and keeps what it was told; it serves no ring.
final class ScriptedBackend: Sendable {
    private let thread: Mutex<Thread?>
    private let told = Told()
    private let raw: Int32

    private final class Told: Sendable {
        let messages = Mutex<[FrontendConnection.Message]>([])
    }

    /// - Parameter answers: whole payloads, by the requests that have an answer of their own.
    init(_ answers: [UInt32: [UInt8]]) throws {
        let sockets = try UnixSocket.pair()
        raw = try sockets.one.descriptor.duplicate().release()
        let other = try sockets.other.descriptor.duplicate().release()
        let started = try Thread(name: "scripted") { [told] in
            let connection = FrontendConnection(UnixSocket(adopting: OwnedFD(adopting: other)))
            while let message = try? connection.receive() {
                told.messages.withLock { $0.append(message) }
                if let answer = answers[message.request] {
                    try? connection.send(message.request, flags: 4, answer)
                } else if message.flags & 8 != 0 {
                    try? connection.send(message.request, flags: 4, Bytes.of(UInt64(0)))
                }
            }
        }
        thread = Mutex(started)
    }

    // It ends with the connection, which may outlive us.
    deinit {
        if let thread = thread.withLock({ $0.take() }) { thread.detach() }
    }

    /// The one connection there is.
    func connect() -> FrontendConnection {
        FrontendConnection(UnixSocket(adopting: OwnedFD(adopting: raw)))
    }

    /// All it was told, once the connection is closed.
    func messages() -> [FrontendConnection.Message] {
        if let thread = thread.withLock({ $0.take() }) { thread.join() }
        return told.messages.withLock { $0 }
    }
}
