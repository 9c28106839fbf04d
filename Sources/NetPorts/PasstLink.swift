import Host
import VirtioSpec

/// The link to a passt: a Unix stream of Ethernet frames, each with its length before it as a 32-bit
/// big-endian word, and without a virtio-net header.
///
/// A frame that is begun is finished before anything else is sent: what the socket did not take is
/// kept in private memory. One worker's, which waits on `descriptor`.
public struct PasstLink: ~Copyable, Sendable {
    /// Bytes of a frame that passt takes, at most.
    public static let largestFrame = 65_535
    private static let wordBytes = 4
    private static let inputBytes = 256 << 10

    public let path: String
    /// Where received frames lie.
    public let input: Mapping
    /// Of `input`: what has been received and not consumed.
    private var unread = 0..<0
    private let output: Mapping
    /// Of `output`: what is left of a frame that is begun.
    private var unsent = 0..<0
    private var socket: UnixSocket?
    /// Why there is no link; nil while there is one.
    public private(set) var loss: PasstLoss? = .notYet

    /// A link to the passt whose socket is `path`. `connect` makes it.
    public init(path: String) throws(PortFault) {
        let memory: (Mapping, Mapping)
        do throws(SystemError) {
            memory.0 = try Mapping.anonymous(count: Self.inputBytes)
            memory.1 = try Mapping.anonymous(count: Self.wordBytes + Self.largestFrame)
        } catch { throw .passt(path, error) }
        self.path = path
        (input, output) = memory
        socket = nil
    }

    /// Takes over a connected socket; `path` is where to connect again.
    public init(adopting socket: consuming UnixSocket, path: String) throws(PortFault) {
        try self.init(path: path)
        self.socket = consume socket
        loss = nil
    }

    /// Connects, or connects again: what was on its way on an older link is gone.
    public mutating func connect() throws(PortFault) {
        end(.notYet)
        do throws(SystemError) {
            socket = try UnixSocket.connect(path: path)
        } catch { throw .passt(path, error) }
        loss = nil
    }

    public var isConnected: Bool { loss == nil }

    /// The number to poll, or -1 while there is no link.
    public var descriptor: Int32 {
        switch socket {
        case .some(let socket): socket.descriptor.raw
        case .none: -1
        }
    }

    /// Whether a frame is begun and not finished: `flush` when the descriptor is writable.
    public var hasUnsent: Bool { !unsent.isEmpty }

    private mutating func end(_ loss: PasstLoss) {
        self.loss = loss
        socket = nil
        unread = 0..<0
        unsent = 0..<0
    }
}

/// Why a link to passt ended.
public enum PasstLoss: Equatable, Sendable, CustomStringConvertible {
    case notYet
    case closed
    /// It announced a frame of so many bytes: there is no telling where the next begins.
    case frame(UInt32)
    case system(Int32)

    public var description: String {
        switch self {
        case .notYet: "not connected yet"
        case .closed: "passt closed the connection"
        case .frame(let bytes): "passt announced a frame of \(bytes) bytes"
        case .system(let code): "\(SystemError("passt", code))"
        }
    }
}

// To passt.
extension PasstLink {
    /// Sends the buffers' bytes from `offset` on, after the header, as one frame. It is sent as well
    /// when a part of it waits here to be flushed.
    public mutating func send(_ buffers: borrowing IOVectors, from offset: Int) -> PortSend {
        let before = flush()
        guard before == .sent else { return before }
        let bytes = buffers.byteCount - offset
        guard offset >= 0, bytes >= NetLayout.ethernetBytes, bytes <= Self.largestFrame else {
            return .dropped(SystemErrorCode.tooLong)
        }
        let word = UInt32(bytes).bigEndian
        let put =
            switch socket {
            case .some(let socket): socket.send(word, buffers, from: offset)
            case .none: -Int(SystemErrorCode.closed)
            }
        guard put >= 0 else { return outcome(Int32(-put)) }
        if put < Self.wordBytes + bytes { keep(word, buffers, from: offset, after: put) }
        return .sent
    }

    /// Sends what is left of a frame. `.sent` where nothing is left, `.full` where something still is.
    public mutating func flush() -> PortSend {
        guard isConnected else { return .lost }
        while !unsent.isEmpty {
            let put =
                switch socket {
                case .some(let socket):
                    socket.send(output, at: unsent.lowerBound, count: unsent.count)
                case .none: -Int(SystemErrorCode.closed)
                }
            guard put > 0 else {
                // A frame that is begun can't be dropped: whatever else is wrong, only time helps.
                return outcome(Int32(-put)) == .lost ? .lost : .full
            }
            unsent = unsent.lowerBound + put..<unsent.upperBound
        }
        return .sent
    }

    /// The guest may change its buffers meanwhile; that changes its frame, and never the framing.
    private mutating func keep(
        _ word: UInt32, _ buffers: borrowing IOVectors, from offset: Int, after done: Int
    ) {
        let bytes = buffers.byteCount - offset
        output.store32(UInt32(littleEndian: word), at: 0)
        let first = max(0, done - Self.wordBytes)
        buffers.drain(
            at: offset + first, into: output, at: Self.wordBytes + first, count: bytes - first)
        unsent = done..<Self.wordBytes + bytes
    }

    private mutating func outcome(_ code: Int32) -> PortSend {
        switch code {
        case SystemErrorCode.wouldBlock, SystemErrorCode.interrupted: return .full
        // The frame's own fault, or the moment's: not a byte of it has gone.
        case SystemErrorCode.tooLong, SystemErrorCode.badAddress, SystemErrorCode.noBuffers,
            SystemErrorCode.noMemory:
            return .dropped(code)
        case SystemErrorCode.closed, SystemErrorCode.reset: end(.closed)
        default: end(.system(code))
        }
        return .lost
    }
}

// From passt.
extension PasstLink {
    public enum Filled: Equatable, Sendable {
        /// Something came, or lies here still: look at `next`.
        case some
        case empty
        case lost
    }

    /// Receives what is there, in one call. Frames not consumed yet may move.
    public mutating func fill() -> Filled {
        makeRoom()
        let room = Self.inputBytes - unread.upperBound
        guard room > 0 else { return .some }
        let got =
            switch socket {
            case .some(let socket):
                socket.receive(into: input, at: unread.upperBound, count: room)
            case .none: -Int(SystemErrorCode.closed)
            }
        if got > 0 {
            unread = unread.lowerBound..<unread.upperBound + got
            return .some
        }
        guard isConnected else { return .lost }
        if got == 0 {
            end(.closed)
            return .lost
        }
        return outcome(Int32(-got)) == .lost ? .lost : .empty
    }

    /// Where in `input` the next whole frame lies: the same one until it is consumed, and in the same
    /// place until `fill`. Nil where none is whole; a length out of range ends the link.
    public mutating func next() -> Range<Int>? {
        guard unread.count >= Self.wordBytes else { return nil }
        let start = unread.lowerBound + Self.wordBytes
        let length = length(at: unread.lowerBound)
        guard length >= UInt32(NetLayout.ethernetBytes),
            length <= UInt32(NetLayout.largestPacket)
        else {
            end(.frame(length))
            return nil
        }
        guard unread.upperBound - start >= Int(length) else { return nil }
        return start..<start + Int(length)
    }

    /// Takes the frame that `next` found out of the way.
    public mutating func consume() {
        guard let frame = next() else { return }
        unread = frame.upperBound..<unread.upperBound
    }

    /// Room for a whole frame beside what is here, as far as that can be had.
    private mutating func makeRoom() {
        if unread.isEmpty { unread = 0..<0 }
        let most = Self.wordBytes + NetLayout.largestPacket
        guard unread.lowerBound > 0, Self.inputBytes - unread.lowerBound < most else { return }
        input.move(from: unread.lowerBound, to: 0, count: unread.count)
        unread = 0..<unread.count
    }

    /// Frames lie anywhere, so their lengths do too.
    private func length(at offset: Int) -> UInt32 {
        var bytes = InlineArray<4, UInt8>(repeating: 0)
        var span = bytes.mutableSpan
        input.read(at: offset, into: &span)
        return (0..<4).reduce(0) { $0 << 8 | UInt32(bytes[$1]) }
    }
}
