import CLinux

/// Termination requests as a descriptor to wait on.
public struct TerminationSignals: ~Copyable, Sendable {
    public let descriptor: OwnedFD

    /// Takes SIGTERM and SIGINT out of the way of every thread started after this call, and ignores
    /// SIGPIPE, which a closed call or log pipe would send.
    public init() throws(SystemError) {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        unsafe sigaddset(&set, SIGTERM)
        unsafe sigaddset(&set, SIGINT)
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
        clinux_ignore_sigpipe()
        let flags = Int32(SFD_CLOEXEC) | Int32(SFD_NONBLOCK)
        let raw = unsafe signalfd(-1, &set, flags)
        guard raw >= 0 else { throw SystemError.last("signalfd") }
        descriptor = OwnedFD(adopting: raw)
    }
}
