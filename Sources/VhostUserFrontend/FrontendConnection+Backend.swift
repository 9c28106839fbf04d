import Host
import VirtioSpec

/// The way on which the back-end speaks first.
extension FrontendConnection {
    /// Gives the back-end a socket of its own (SET_BACKEND_REQ_FD). Returns our end of it, where its
    /// messages come, and are received one by one.
    public func openBackendRequests() throws(FrontendError) -> FrontendConnection {
        let pair: UnixSocketPair
        do throws(SystemError) { pair = try UnixSocket.pair() } catch { throw .system(error) }
        try tell(.setBackendRequestFD, descriptors: [pair.other.descriptor.raw])
        return FrontendConnection(pair.one)
    }
}
