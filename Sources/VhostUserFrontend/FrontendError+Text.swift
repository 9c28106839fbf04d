import VirtioSpec

extension FrontendError: CustomStringConvertible {
    /// One line for people.
    public var description: String {
        switch self {
        case .disconnected: "the back-end closed the connection"
        case .timedOut: "the back-end gave no answer in time"
        case .refused(let request, let code):
            "the back-end refused \(Self.name(request)) with code \(code)"
        case .badReply(let request, let count):
            "the back-end's reply to \(Self.name(request)) is none: \(count) bytes"
        case .notOffered(.packedRing):
            "the back-end does not offer packed rings (VIRTIO_F_RING_PACKED)"
        case .notOffered(.inOrder):
            "the back-end does not offer to keep the order (VIRTIO_F_IN_ORDER)"
        case .notOffered(let feature):
            "the back-end does not offer feature bit \(feature.rawValue.trailingZeroBitCount)"
        case .device(let text): "the device broke the rules: \(text)"
        case .system(let error): "\(error)"
        }
    }

    private static func name(_ request: UInt32) -> String {
        VhostUserRequest(rawValue: request).map { "\($0)" } ?? "message \(request)"
    }
}
