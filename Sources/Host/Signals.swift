import CLinux

/// Signals as descriptors to wait on.
public enum Signals {
    /// Takes SIGTERM and SIGINT out of the way of this thread and of every thread it starts from
    /// now on, and returns a descriptor that is readable once one has come.
    public static func termination() throws(SystemError) -> OwnedFD {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        unsafe sigaddset(&set, SIGTERM)
        unsafe sigaddset(&set, SIGINT)
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
        let raw = unsafe signalfd(-1, &set, Int32(SFD_CLOEXEC) | Int32(SFD_NONBLOCK))
        guard raw >= 0 else { throw SystemError.last("signalfd") }
        return OwnedFD(adopting: raw)
    }

    /// Ignores SIGPIPE, which a call or a log that nobody reads any more would send.
    public static func ignoreBrokenPipes() { clinux_ignore_sigpipe() }
}
