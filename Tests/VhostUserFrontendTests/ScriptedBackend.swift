import Host
import Synchronization
import VhostUserFrontend
import VirtioSpec

/// A back-end that answers the handshake and keeps what it was told; it serves no ring.
final class ScriptedBackend: Sendable {
    private let thread: Mutex<Thread?>
    private let told = Told()
    private let raw: Int32

    private final class Told: Sendable {
        let messages = Mutex<[FrontendConnection.Message]>([])
        let inodes = Mutex<[UInt32: UInt64]>([:])
    }

    /// - Parameters:
    ///   - answers: whole payloads, by the requests that have an answer of their own.
    ///   - files: descriptors that go with answers, open until the connection is closed.
    init(_ answers: [UInt32: [UInt8]], files: [UInt32: Int32] = [:]) throws {
        let sockets = try UnixSocket.pair()
        raw = try sockets.one.descriptor.duplicate().release()
        let other = try sockets.other.descriptor.duplicate().release()
        let started = try Thread(name: "scripted") { [told] in
            let connection = FrontendConnection(UnixSocket(adopting: OwnedFD(adopting: other)))
            while true {
                var descriptors = ReceivedFDs()
                guard let message = try? connection.receive(&descriptors) else { return }
                told.messages.withLock { $0.append(message) }
                if let inode = try? descriptors.take(0)?.facts().inode {
                    told.inodes.withLock { $0[message.request] = inode }
                }
                if let answer = answers[message.request] {
                    let file = files[message.request].map { [$0] } ?? []
                    try? connection.send(message.request, flags: 4, answer, descriptors: file)
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

    /// The inode of the file that came last with a request, once the connection is closed.
    func inode(_ request: VhostUserRequest) -> UInt64? {
        told.inodes.withLock { $0[request.rawValue] }
    }
}
