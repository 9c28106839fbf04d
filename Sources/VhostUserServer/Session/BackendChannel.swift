import Host
import Logging
import VhostUserProtocol

/// The socket on which the back-end speaks first (SET_BACKEND_REQ_FD). One thing is said there: that
/// the configuration space has changed.
///
/// Nothing waits for it. What the socket has no room for stays owed, and one message tells of any
/// number of changes. No reply is asked for, since the front-end may be waiting for one of ours just
/// then; what it answers all the same is dropped. The session's thread's alone.
final class BackendChannel {
    private let changes: ConfigurationSignal
    /// The address of our end of the connection on which the front-end speaks.
    private let main: SocketAddressName?
    private let logger: Logger
    private var socket: UnixSocket?
    /// The front-end does not know of the latest change.
    private var isOwed = false
    /// What is left to be sent of a message that is begun.
    private var rest: [UInt8] = []
    /// Whether the front-end has agreed to hear of changes, and its device runs: one that is suspended
    /// says nothing.
    var maySend = false

    /// Reads of what came in, for each wait: a front-end that floods us must not have us to itself.
    private static let mostReads = 16

    /// - Parameter main: the connection on which the front-end speaks.
    init(_ changes: ConfigurationSignal, beside main: borrowing UnixSocket, _ logger: Logger) {
        self.changes = changes
        self.main = main.name()
        self.logger = logger
        // This front-end has not read the space yet.
        changes.event.drain()
    }

    deinit {
        if isOwed { logger.info("the front-end was not told that the configuration has changed") }
    }

    /// Takes over the front-end's descriptor, in place of any before. False where it is no connected
    /// stream socket, or the other end of a connection to us: held by us, it would keep that
    /// connection alive for ever after its front-end has gone.
    func open(_ descriptor: consuming OwnedFD) -> Bool {
        guard UnixListener.kind(descriptor) == .connected else { return false }
        let next = UnixSocket(adopting: descriptor)
        guard let main, next.peerName() != main else { return false }
        rest = []
        socket = consume next
        return true
    }

    /// Where in a set of descriptors the channel's own are.
    struct Places {
        let change: Int
        let input: Int
        let output: Int
    }

    func watch(_ set: inout PollSet) -> Places {
        let raw = descriptor
        return Places(
            change: set.add(changes.event.descriptor.raw), input: set.add(raw),
            output: set.add(mustSend ? raw : -1, output: true))
    }

    /// Does what there is to do after a wait for `set`.
    func attend(_ set: PollSet, _ places: Places) {
        if set.isReady(places.input) { dropReplies() }
        if set.isReady(places.change), changes.event.drain() { isOwed = true }
        // Tried at once; where there is no room, the next wait ends with some.
        if mustSend { send() }
    }

    var isOpen: Bool { descriptor >= 0 }

    private var descriptor: Int32 {
        switch socket {
        case .some(let socket): socket.descriptor.raw
        case .none: -1
        }
    }

    private var mustSend: Bool { isOpen && (!rest.isEmpty || (isOwed && maySend)) }

    private func send() {
        let isNew = rest.isEmpty
        let bytes = isNew ? BackendMessage.configurationChanged.encode() : rest
        do throws(SystemError) {
            let sent =
                switch socket {
                case .some(let socket): try socket.send(bytes.span) ?? 0
                case .none: 0
                }
            // A message of which nothing has gone tells of what comes until then, too.
            guard sent > 0 else { return }
            if isNew { isOwed = false }
            rest = Array(bytes.dropFirst(sent))
        } catch { close("\(error)") }
    }

    private func dropReplies() {
        var bytes = [UInt8](repeating: 0, count: 512)
        for _ in 0..<Self.mostReads {
            var span = bytes.mutableSpan
            // Descriptors that come along are closed with this.
            var descriptors = ReceivedFDs()
            do throws(SystemError) {
                let got =
                    switch socket {
                    case .some(let socket):
                        try socket.receive(into: &span, descriptors: &descriptors)
                    case .none: nil as Int?
                    }
                guard let got else { return }
                if got == 0 { return close("closed by the front-end") }
            } catch { return close("\(error)") }
        }
    }

    private func close(_ reason: String) {
        logger.warning("no way to tell the front-end of changes any more: \(reason)")
        isOwed = isOwed || !rest.isEmpty
        rest = []
        socket = nil
    }
}
