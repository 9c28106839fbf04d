import VirtioSpec

/// What a back-end says on its own socket without being asked. No reply is asked for.
public enum BackendMessage: Sendable {
    case configurationChanged

    /// The message, ready to send.
    public func encode() -> [UInt8] {
        var message = ByteWriter()
        switch self {
        case .configurationChanged:
            message.u32(VhostUserBackendRequest.configurationChange.rawValue)
        }
        message.u32(VhostUserHeader.version)
        message.u32(0)
        return message.bytes
    }
}
