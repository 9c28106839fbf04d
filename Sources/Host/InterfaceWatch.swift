import CLinux

/// Hears that something about an interface of the thread's own network namespace has changed, and
/// not what.
public final class InterfaceWatch: Sendable {
    /// Readable after a change.
    public let descriptor: OwnedFD

    public init() throws(SystemError) {
        let raw = clinux_watch_interfaces()
        guard raw >= 0 else { throw SystemError("netlink", -raw) }
        descriptor = OwnedFD(adopting: raw)
    }

    /// Forgets the changes so far.
    public func drain() { clinux_drain(descriptor.raw) }
}
