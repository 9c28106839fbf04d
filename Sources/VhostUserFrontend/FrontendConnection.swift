import Host
import VirtioSpec

/// Why a front-end can't go on.
public enum FrontendError: Error, Equatable, Sendable {
    case disconnected
    /// Nothing came within the deadline.
    case timedOut
    /// The back-end answered a request with this code, not with 0.
    case refused(UInt32, UInt64)
    /// A reply that is none: its request and the bytes of its payload.
    case badReply(UInt32, Int)
    /// The back-end does not offer a feature that is asked for.
    case notOffered(Features)
    /// The device broke the ring, or answered what it was not asked.
    case device(String)
    case system(SystemError)
}

/// The front-end's end of a vhost-user socket: messages of the right form, or of any other.
public final class FrontendConnection {
    public struct Message: Equatable, Sendable {
        public var request: UInt32
        public var flags: UInt32
        public var payload: [UInt8]

        public var number: UInt64 { payload.count == 8 ? Bytes.u64(payload, at: 0) : .max }
    }

    private let socket: UnixSocket
    /// Milliseconds that any answer may take.
    public var deadline: Int32 = 10_000
    public private(set) var protocolFeatures: ProtocolFeatures = []

    public init(_ socket: consuming UnixSocket) { self.socket = socket }

    /// Connects to the back-end that listens at `path`.
    public init(path: String) throws(FrontendError) {
        do throws(SystemError) { socket = try UnixSocket.connect(path: path) } catch {
            throw .system(error)
        }
    }

    // Messages of any form.

    /// Sends raw bytes, descriptors with the first of them.
    public func sendRaw(_ bytes: [UInt8], descriptors: [Int32] = []) throws(FrontendError) {
        var done = 0
        while done < bytes.count {
            do throws(SystemError) {
                let rest = bytes.span.extracting(done..<bytes.count)
                let attached = done == 0 ? descriptors : []
                if let sent = try socket.send(rest, descriptors: attached) {
                    done += sent
                    continue
                }
            } catch { throw .disconnected }
            var set = PollSet()
            set.add(socket.descriptor.raw, output: true)
            guard set.wait(milliseconds: deadline) > 0 else { throw .timedOut }
        }
    }

    public func send(
        _ request: UInt32, flags: UInt32 = 0, _ payload: [UInt8] = [], descriptors: [Int32] = []
    ) throws(FrontendError) {
        let header =
            Bytes.of(request) + Bytes.of(flags | VhostUserHeader.version)
            + Bytes.of(UInt32(payload.count))
        try sendRaw(header + payload, descriptors: descriptors)
    }

    /// Waits for the next message from the back-end; descriptors that come with it are closed.
    public func receive() throws(FrontendError) -> Message {
        var descriptors = ReceivedFDs()
        return try receive(&descriptors)
    }

    /// Waits for the next message from the back-end, and for what comes with it.
    public func receive(_ descriptors: inout ReceivedFDs) throws(FrontendError) -> Message {
        let header = try read(VhostUserHeader.bytes, &descriptors)
        let size = Bytes.u32(header, at: 8)
        guard size <= 1 << 16 else { throw .badReply(Bytes.u32(header, at: 0), Int(size)) }
        return Message(
            request: Bytes.u32(header, at: 0), flags: Bytes.u32(header, at: 4),
            payload: try read(Int(size), &descriptors))
    }

    /// Waits until the back-end has closed the connection; throws where it sends something instead.
    public func waitForClose() throws(FrontendError) {
        do throws(FrontendError) {
            let message = try receive()
            throw .badReply(message.request, message.payload.count)
        } catch {
            guard error == .disconnected else { throw error }
        }
    }

    /// The back-end's process, by the socket's word; nil where that has none.
    public var peerProcess: Int32? {
        socket.peer().flatMap { $0.process > 0 ? $0.process : nil }
    }

    /// The socket, to wait on beside other things: it is readable when `isClosed` is true.
    public var descriptor: Int32 { socket.descriptor.raw }

    /// Whether the back-end has hung up, or has sent what nobody asked for.
    public var isClosed: Bool {
        var set = PollSet()
        set.add(socket.descriptor.raw)
        return set.wait(milliseconds: 0) > 0
    }

    private func read(
        _ count: Int, _ descriptors: inout ReceivedFDs
    ) throws(FrontendError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            var set = PollSet()
            set.add(socket.descriptor.raw)
            guard set.wait(milliseconds: deadline) > 0 else { throw .timedOut }
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

    // Requests of the right form.

    /// Sends a request that has a reply of its own, and waits for it.
    public func ask(
        _ request: VhostUserRequest, _ payload: [UInt8] = []
    ) throws(FrontendError) -> Message {
        var descriptors = ReceivedFDs()
        return try ask(request, payload, &descriptors)
    }

    /// The same for a reply that brings descriptors.
    func ask(
        _ request: VhostUserRequest, _ payload: [UInt8], _ descriptors: inout ReceivedFDs
    ) throws(FrontendError) -> Message {
        try send(request.rawValue, payload)
        let reply = try receive(&descriptors)
        let expected = VhostUserHeader.version | VhostUserHeader.reply
        guard reply.request == request.rawValue, reply.flags == expected else {
            throw .badReply(reply.request, reply.payload.count)
        }
        return reply
    }

    /// Sends a request without one. With REPLY_ACK its success is asked for and waited for.
    public func tell(
        _ request: VhostUserRequest, _ payload: [UInt8] = [], descriptors: [Int32] = []
    ) throws(FrontendError) {
        guard protocolFeatures.contains(.replyAck) else {
            return try send(request.rawValue, payload, descriptors: descriptors)
        }
        try send(
            request.rawValue, flags: VhostUserHeader.needReply, payload, descriptors: descriptors)
        let reply = try receive()
        guard reply.request == request.rawValue, reply.payload.count == 8 else {
            throw .badReply(reply.request, reply.payload.count)
        }
        guard reply.number == 0 else { throw .refused(request.rawValue, reply.number) }
    }

    public func setProtocolFeatures(_ features: ProtocolFeatures) throws(FrontendError) {
        try tell(.setProtocolFeatures, Bytes.of(features.rawValue))
        protocolFeatures = features
    }
}

/// Little-endian fields.
public enum Bytes {
    public static func of(_ value: UInt16) -> [UInt8] { encode(UInt64(value), 2) }
    public static func of(_ value: UInt32) -> [UInt8] { encode(UInt64(value), 4) }
    public static func of(_ value: UInt64) -> [UInt8] { encode(value, 8) }

    public static func u16(_ bytes: [UInt8], at offset: Int) -> UInt16 {
        UInt16(truncatingIfNeeded: decode(bytes, offset, 2))
    }
    public static func u32(_ bytes: [UInt8], at offset: Int) -> UInt32 {
        UInt32(truncatingIfNeeded: decode(bytes, offset, 4))
    }
    public static func u64(_ bytes: [UInt8], at offset: Int) -> UInt64 {
        decode(bytes, offset, 8)
    }

    private static func encode(_ value: UInt64, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
    }

    private static func decode(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> UInt64 {
        (0..<count).reversed().reduce(0) { $0 << 8 | UInt64(bytes[offset + $1]) }
    }
}
