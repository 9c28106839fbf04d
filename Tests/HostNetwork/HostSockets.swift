import Glibc
import Host

/// An IPv4 datagram socket of the host's.
public final class HostSocket {
    public let descriptor: OwnedFD

    public init(port: UInt16) throws { descriptor = try OwnedFD.datagrams(Ends.host, port) }

    public func receive() -> [UInt8]? {
        waits(for: descriptor.raw) ? descriptor.receiveDatagram() : nil
    }

    /// - Parameter segment: bytes of each datagram that the kernel is to make of it.
    public func send(_ bytes: [UInt8], to port: UInt16, segment: Int32? = nil) -> Bool {
        descriptor.sendDatagram(bytes, Ends.guest, port, segment) == bytes.count
    }
}

// The C library's sockets, for the host's side of a link.
extension OwnedFD {
    static func datagrams(_ address: [UInt8], _ port: UInt16) throws(SystemError) -> OwnedFD {
        let raw = socket(AF_INET, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard raw >= 0 else { throw .last("socket") }
        let descriptor = OwnedFD(adopting: raw)
        let bound = unsafe withAddress(address, port) { unsafe bind(raw, $0, $1) }
        guard bound == 0 else { throw .last("bind") }
        return descriptor
    }

    borrowing func receiveDatagram() -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: 70_000) { buffer, count in
            count = unsafe max(0, recv(raw, buffer.baseAddress, 70_000, 0))
        }
    }

    borrowing func sendDatagram(
        _ bytes: [UInt8], _ address: [UInt8], _ port: UInt16, _ segment: Int32?
    ) -> Int {
        // UDP_SEGMENT of SOL_UDP; 0 switches it off.
        var segment = segment ?? 0
        guard unsafe setsockopt(raw, 17, 103, &segment, 4) == 0 else { return -1 }
        return unsafe withAddress(address, port) { address, length in
            unsafe bytes.withUnsafeBufferPointer {
                unsafe sendto(raw, $0.baseAddress, $0.count, 0, address, length)
            }
        }
    }

    /// Has the kernel keep as little as it can of what is sent.
    public borrowing func keepLittle() {
        var bytes: Int32 = 1
        _ = unsafe setsockopt(raw, SOL_SOCKET, SO_SNDBUF, &bytes, 4)
    }
}

private func withAddress<R>(
    _ address: [UInt8], _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R
) -> R {
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = port.bigEndian
    name.sin_addr.s_addr = address.reversed().reduce(0) { $0 << 8 | UInt32($1) }.littleEndian
    return unsafe withUnsafePointer(to: &name) {
        unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            unsafe body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
}
