import CLinux

/// The address of a Unix socket, to be told from others'.
public struct SocketAddressName: Equatable, Sendable {
    fileprivate let bytes: [UInt8]
}

extension UnixSocket {
    /// The socket's own address. One that has none is given one of the kernel's choice, which no other
    /// socket has; an accepted one has its listener's. Nil where there is none to be had.
    public borrowing func name() -> SocketAddressName? {
        if let name = address(ofPeer: false) { return name }
        _ = clinux_name_socket(descriptor.raw)
        return address(ofPeer: false)
    }

    /// The address of the socket at the other end; nil where that has none.
    public borrowing func peerName() -> SocketAddressName? { address(ofPeer: true) }

    private borrowing func address(ofPeer isPeer: Bool) -> SocketAddressName? {
        var bytes = [UInt8](repeating: 0, count: MemoryLayout<sockaddr_un>.size)
        let capacity = bytes.count
        let count = unsafe bytes.withUnsafeMutableBufferPointer {
            unsafe clinux_socket_name(descriptor.raw, isPeer ? 1 : 0, $0.baseAddress, capacity)
        }
        // The family alone is no name.
        guard count > MemoryLayout<sa_family_t>.size else { return nil }
        return SocketAddressName(bytes: Array(bytes.prefix(count)))
    }
}
