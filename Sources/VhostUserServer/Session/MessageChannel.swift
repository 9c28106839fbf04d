import Host
import VhostUserProtocol
import VirtioSpec

/// Whole messages over a socket, with the descriptors that came along.
struct MessageChannel: ~Copyable {
    enum End: Error, Equatable {
        /// The front-end closed the connection, or it broke.
        case disconnected
        /// We are asked to end.
        case terminated
        /// Guest memory that was shared is gone.
        case memoryLost
        /// The front-end does not read what it asked for.
        case stuck
        case violation(ProtocolViolation)
        /// A message was refused and there was no way to say so but to hang up.
        case refused
    }

    private let socket: UnixSocket
    /// Readable when this process is to end.
    private let termination: Int32
    private let trouble: Trouble
    /// A front-end that has not taken a reply for this long never will.
    private static let replyMilliseconds: Int32 = 10_000

    init(_ socket: consuming UnixSocket, termination: Int32, trouble: Trouble) {
        self.socket = socket
        self.termination = termination
        self.trouble = trouble
        // What an earlier session left.
        trouble.event.drain()
    }

    /// The front-end's process, for the log.
    var peer: Int32? { socket.peer()?.process }

    /// Waits for the next message. Exactly a header and its payload are read: another byte could
    /// belong to a message whose descriptors would be taken for this one's.
    func receive(_ descriptors: inout ReceivedFDs) throws(End) -> (MessageHeader, [UInt8]) {
        let header = MessageHeader(try read(VhostUserHeader.bytes, &descriptors))
        do throws(ProtocolViolation) { try header.check() } catch { throw .violation(error) }
        return (header, try read(Int(header.size), &descriptors))
    }

    private func read(
        _ count: Int, _ descriptors: inout ReceivedFDs
    ) throws(End) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            var set = PollSet()
            set.add(socket.descriptor.raw)
            let stop = set.add(termination)
            let lost = set.add(trouble.event.descriptor.raw)
            _ = set.wait(milliseconds: -1)
            if set.isReady(stop) { throw .terminated }
            if set.isReady(lost) { throw .memoryLost }
            var span = bytes.mutableSpan
            var rest = span._mutatingExtracting(done..<count)
            do throws(SystemError) {
                guard let got = try socket.receive(into: &rest, descriptors: &descriptors) else {
                    continue
                }
                if got == 0 { throw SystemError("recvmsg", SystemErrorCode.notConnected) }
                done += got
            } catch { throw .disconnected }
        }
        return bytes
    }

    /// Sends a whole message, and `descriptor` with its first byte.
    func send(_ bytes: [UInt8], descriptor: Int32? = nil) throws(End) {
        var done = 0
        while done < bytes.count {
            do throws(SystemError) {
                let rest = bytes.span.extracting(done..<bytes.count)
                let attached = done == 0 ? descriptor.map { [$0] } ?? [] : []
                if let sent = try socket.send(rest, descriptors: attached) {
                    done += sent
                    continue
                }
            } catch { throw .disconnected }
            var set = PollSet()
            set.add(socket.descriptor.raw, output: true)
            let stop = set.add(termination)
            guard set.wait(milliseconds: Self.replyMilliseconds) > 0 else { throw .stuck }
            if set.isReady(stop) { throw .terminated }
        }
    }
}
