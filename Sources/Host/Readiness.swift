import CLinux

/// The service supervisor's notification socket (sd_notify).
public enum Readiness {
    /// Tells the supervisor that we are ready, where one asked to be told.
    public static func announce() {
        guard let path = unsafe getenv("NOTIFY_SOCKET").map({ unsafe String(cString: $0) }),
            let address = SocketAddress(path: path)
        else { return }
        let raw = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard raw >= 0 else { return }
        let descriptor = OwnedFD(adopting: raw)
        _ = address.send(descriptor.raw, Array("READY=1\n".utf8))
    }
}
