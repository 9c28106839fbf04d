import Host

/// Why a port can't be opened; `description` names the way out.
public enum PortFault: Error, Equatable, Sendable, CustomStringConvertible {
    case tap(String, SystemError)
    case notATap(String)
    /// It was made for one queue.
    case oneQueue(String)
    /// It was there before us and has been taken away.
    case absent(String)
    /// The device of a descriptor that was handed in is gone.
    case handedIn(String)
    case notATapDescriptor(Int32)
    /// A TAP's descriptor, but opened in a way that we can't use.
    case unfit(Int32, String)
    /// Descriptors of more than one device.
    case differentTaps([String])
    case passt(String, SystemError)
    case capture(String, SystemError)
    case notAFile(String)
    /// Who writes to the file, where that can be seen.
    case captureInUse(String, String?)

    public var description: String {
        switch self {
        case .tap(let name, let error): "tap:\(name): \(Self.reason(name, error))"
        case .notATap(let name):
            "tap:\(name): is no TAP device; choose another name, or none that exists"
        case .oneQueue(let name):
            "tap:\(name): was made for one queue; ask for one queue pair, or make it again with:"
                + " ip tuntap add dev \(name) mode tap multi_queue"
        case .absent(let name):
            "tap:\(name): is gone; make it again with: \(Self.making(name))"
        case .handedIn(let name):
            "tap:\(name): is gone, and was handed in: start anew with another descriptor"
        case .notATapDescriptor(let number):
            "tapfd:\(number): is no TAP's descriptor; hand in one that TUNSETIFF was called on"
        case .unfit(let number, let name):
            "tapfd:\(number): \(name) must be opened with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR, and"
                + " with IFF_MULTI_QUEUE for more than one descriptor"
        case .differentTaps(let names):
            "tapfd: the descriptors belong to \(names.joined(separator: ", ")); one device only"
        case .passt(let path, let error): "passt:\(path): \(Self.reason(passt: path, error))"
        case .capture(let path, let error): "\(path): \(Self.reason(capture: error))"
        case .notAFile(let path): "\(path): not a regular file; a capture needs one"
        case .captureInUse(let path, let holder):
            "\(path): in use by \(holder ?? "another process"); a capture has its file to itself"
        }
    }

    private static func reason(capture error: SystemError) -> String {
        guard error.call == "open" else { return error.description }
        switch error.code {
        case SystemErrorCode.noEntry: return "no such folder; make it, or choose another file"
        case SystemErrorCode.isDirectory: return "not a regular file; a capture needs one"
        case SystemErrorCode.accessDenied, SystemErrorCode.notPermitted:
            return "permission denied; choose a file that you may write"
        default: return error.reason
        }
    }

    private static func making(_ name: String) -> String {
        "ip tuntap add dev \(name) mode tap multi_queue user $USER"
    }

    private static func reason(_ name: String, _ error: SystemError) -> String {
        switch error.code {
        case SystemErrorCode.accessDenied, SystemErrorCode.notPermitted:
            "permission denied; run as root or make it beforehand with: \(making(name))"
        case SystemErrorCode.noEntry where error.call == "open",
            SystemErrorCode.noDevice where error.call == "open":
            "the host has no /dev/net/tun; load it with: modprobe tun"
        case SystemErrorCode.busy: "in use by another process; stop that, or choose another name"
        case SystemErrorCode.tooMany: "takes no more queues; ask for fewer queue pairs"
        default: error.description
        }
    }

    private static func reason(passt path: String, _ error: SystemError) -> String {
        switch error.code {
        case SystemErrorCode.noEntry:
            "no such socket; start passt first: passt --socket \(path)"
        case SystemErrorCode.notConnected:
            "nobody listens there; start passt first: passt --socket \(path)"
        case SystemErrorCode.accessDenied, SystemErrorCode.notPermitted:
            "permission denied; run passt and this program as one user"
        case SystemErrorCode.wouldBlock: "passt does not answer; it serves one client at a time"
        case SystemErrorCode.nameTooLong:
            "a socket's path has \(UnixSocket.longestPath) bytes at most; choose a shorter one"
        default: error.description
        }
    }
}
