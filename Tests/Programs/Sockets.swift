import Foundation

private func withAddress<R>(
    _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R
) -> R {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &address.sun_path) {
        unsafe $0.copyBytes(from: Array(path.utf8))
    }
    return unsafe withUnsafePointer(to: &address) {
        unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            unsafe body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
}

/// A listening socket of somebody who knows nothing of Ringway's locks.
public final class StrangersListener {
    public let descriptor: Int32

    public init(_ path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        let bound = unsafe withAddress(path) { unsafe bind(descriptor, $0, $1) }
        guard bound == 0, listen(descriptor, 4) == 0 else { throw Failure("no socket at \(path)") }
    }

    public func close() { _ = Foundation.close(descriptor) }
}

/// A service supervisor's notification socket.
public final class DatagramSocket {
    private let descriptor: Int32

    public init(_ path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        let bound = unsafe withAddress(path) { unsafe bind(descriptor, $0, $1) }
        guard bound == 0 else { throw Failure("no socket at \(path)") }
    }

    deinit { close(descriptor) }

    public func duplicate() -> Int32 { dup(descriptor) }

    public func receive(seconds: Int32) throws -> String {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard unsafe poll(&entry, 1, seconds * 1000) == 1 else {
            throw Failure("no datagram in \(seconds) s")
        }
        var bytes = [UInt8](repeating: 0, count: 256)
        let got = unsafe recv(descriptor, &bytes, bytes.count, 0)
        return String(decoding: bytes.prefix(max(0, got)), as: UTF8.self)
    }
}
