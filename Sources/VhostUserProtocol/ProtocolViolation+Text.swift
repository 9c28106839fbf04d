import VirtioSpec

extension ProtocolViolation: CustomStringConvertible {
    /// One line for the log.
    public var description: String {
        switch self {
        case .wrongVersion(let version): "message of protocol version \(version), not 1"
        case .replyUnasked(let request): "message \(request) is marked as a reply"
        case .payloadTooLong(let request, let size):
            "message \(request) announces \(size) bytes of payload"
        case .unknownRequest(let request): "unknown message \(request)"
        case .notServed(let request): "\(request) is not served by this back-end"
        case .notNegotiated(let request): "\(request) came without its protocol feature"
        case .payloadSize(let request, let size): "\(request) with a payload of \(size) bytes"
        case .descriptorCount(let request, let count): "\(request) with \(count) descriptors"
        case .tooManyRegions(let count): "a memory table of \(count) regions, more than 8"
        }
    }
}
