import CLinux

/// A system call that failed: which one, and errno.
public struct SystemError: Error, Equatable, Sendable, CustomStringConvertible {
    public let call: String
    public let code: Int32

    public init(_ call: String, _ code: Int32) {
        self.call = call
        self.code = code
    }

    /// The last call's errno under the name `call`.
    public static func last(_ call: String) -> SystemError { SystemError(call, clinux_errno()) }

    /// What the C library says of `code`: "Permission denied".
    public var reason: String { unsafe String(cString: strerror(code)) }

    public var description: String { "\(call): \(reason)" }
}

/// errno values that callers above tell apart.
public enum SystemErrorCode {
    public static let invalid = EINVAL
    public static let wouldBlock = EAGAIN
    public static let interrupted = EINTR
    public static let notSupported = EOPNOTSUPP
    public static let notConnected = ECONNREFUSED
    public static let noEntry = ENOENT
    public static let isDirectory = EISDIR
    public static let accessDenied = EACCES
    public static let notPermitted = EPERM
    public static let noSpace = ENOSPC
    public static let ioError = EIO
    public static let noCall = ENOSYS
    public static let noDevice = ENODEV
    /// What a TAP's descriptor says when the device is gone.
    public static let deviceGone = EBADFD
    public static let busy = EBUSY
    public static let tooMany = E2BIG
    public static let closed = EPIPE
    public static let reset = ECONNRESET
    public static let tooLong = EMSGSIZE
    public static let badAddress = EFAULT
    public static let noBuffers = ENOBUFS
    public static let noMemory = ENOMEM
    public static let nameTooLong = ENAMETOOLONG
}
