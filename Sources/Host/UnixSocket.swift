import CLinux

/// A connected Unix stream socket that carries bytes and descriptors.
public struct UnixSocket: ~Copyable, Sendable {
    public let descriptor: OwnedFD
    /// Bytes of the longest path a Unix socket can have.
    public static let longestPath = 107

    /// Takes over a connected socket and makes it non-blocking.
    public init(adopting descriptor: consuming OwnedFD) {
        _ = clinux_set_nonblocking(descriptor.raw)
        self.descriptor = descriptor
    }

    /// Connects to whoever listens at `path`.
    public static func connect(path: String) throws(SystemError) -> UnixSocket {
        // Not blocking: a listener whose queue is full is one to try again later.
        let raw = socket(
            AF_UNIX,
            Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard raw >= 0 else { throw SystemError.last("socket") }
        let descriptor = OwnedFD(adopting: raw)
        guard let address = SocketAddress(path: path) else {
            throw SystemError("connect", ENAMETOOLONG)
        }
        let result = address.connect(raw)
        guard result == 0 else { throw SystemError("connect", -result) }
        return UnixSocket(adopting: descriptor)
    }

    /// Two sockets connected to each other.
    public static func pair() throws(SystemError) -> UnixSocketPair {
        var ends: (Int32, Int32) = (-1, -1)
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        let result = unsafe withUnsafeMutableBytes(of: &ends) {
            unsafe socketpair(AF_UNIX, kind, 0, $0.assumingMemoryBound(to: Int32.self).baseAddress)
        }
        guard result == 0 else { throw SystemError.last("socketpair") }
        return UnixSocketPair(
            one: UnixSocket(adopting: OwnedFD(adopting: ends.0)),
            other: UnixSocket(adopting: OwnedFD(adopting: ends.1)))
    }

    /// Sends what fits now of `bytes`, descriptors with the first byte. Returns bytes sent, or nil
    /// where the peer's buffer is full.
    public borrowing func send(
        _ bytes: Span<UInt8>, descriptors: [Int32] = []
    ) throws(SystemError) -> Int? {
        let count = Int32(descriptors.count)
        let sent = unsafe bytes.withUnsafeBufferPointer { buffer in
            unsafe descriptors.withUnsafeBufferPointer {
                unsafe clinux_send(
                    descriptor.raw, buffer.baseAddress, buffer.count, $0.baseAddress, count)
            }
        }
        if sent >= 0 { return sent }
        if sent == -Int(EAGAIN) || sent == -Int(EINTR) { return nil }
        throw SystemError("sendmsg", Int32(-sent))
    }

    /// Receives what is there now into `bytes`, and descriptors that came with it. Returns bytes
    /// received, 0 at the end of the stream, or nil where nothing is there.
    public borrowing func receive(
        into bytes: inout MutableSpan<UInt8>, descriptors: inout ReceivedFDs
    ) throws(SystemError) -> Int? {
        var numbers = InlineArray<8, Int32>(repeating: -1)
        var total: Int32 = 0
        var span = numbers.mutableSpan
        let got = unsafe bytes.withUnsafeMutableBufferPointer { buffer in
            unsafe span.withUnsafeMutableBufferPointer {
                unsafe clinux_receive(
                    descriptor.raw, buffer.baseAddress, buffer.count, $0.baseAddress,
                    Int32($0.count), &total)
            }
        }
        for index in numbers.indices where numbers[index] >= 0 {
            descriptors.adopt(numbers[index])
        }
        descriptors.noteTotal(Int(total))
        if got >= 0 { return got }
        if got == -Int(EAGAIN) || got == -Int(EINTR) { return nil }
        throw SystemError("recvmsg", Int32(-got))
    }

    /// The process at the other end: its id, user and group when it connected.
    public borrowing func peer() -> (process: Int32, user: UInt32, group: UInt32)? {
        var credentials = (Int32(0), UInt32(0), UInt32(0))
        var length = socklen_t(12)
        let result = unsafe getsockopt(
            descriptor.raw, SOL_SOCKET, SO_PEERCRED, &credentials, &length)
        return result == 0 ? (credentials.0, credentials.1, credentials.2) : nil
    }
}

/// Both ends of a socket pair.
@frozen
public struct UnixSocketPair: ~Copyable {
    public var one: UnixSocket
    public var other: UnixSocket
}

/// A Unix socket's address, kept whole for the calls that want a pointer to it.
struct SocketAddress {
    private var address = sockaddr_un()

    init?(path: String) {
        let bytes = Array(path.utf8)
        guard !bytes.isEmpty, bytes.count <= UnixSocket.longestPath, !bytes.contains(0) else {
            return nil
        }
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        // A leading "@" names the abstract namespace, as socat and systemd write it.
        if bytes.first == UInt8(ascii: "@") { address.sun_path.0 = 0 }
        length = socklen_t(2 + bytes.count + (bytes.first == UInt8(ascii: "@") ? 0 : 1))
    }

    private let length: socklen_t

    /// Each returns 0, or errno negated.
    func connect(_ raw: Int32) -> Int32 {
        unsafe withUnsafePointer(to: address) { unsafe clinux_connect(raw, $0, length) }
    }

    func bind(_ raw: Int32) -> Int32 {
        unsafe withUnsafePointer(to: address) { unsafe clinux_bind(raw, $0, length) }
    }

    func send(_ raw: Int32, _ bytes: [UInt8]) -> Int {
        unsafe withUnsafePointer(to: address) { address in
            unsafe bytes.withUnsafeBufferPointer {
                unsafe clinux_send_to(raw, $0.baseAddress, $0.count, address, length)
            }
        }
    }
}
