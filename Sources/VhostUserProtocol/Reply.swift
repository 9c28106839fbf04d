import VirtioSpec

/// What goes back to the front-end.
public enum Reply: Equatable, Sendable {
    /// A number, or an acknowledgement: 0 for success.
    case number(UInt64)
    /// A ring's index and its base.
    case vringState(index: UInt32, value: UInt32)
    /// A piece of configuration space, or nil where it could not be had: then the payload is empty.
    case config(ConfigAccess?)
    /// The buffer of requests in flight, whose descriptor goes with the message.
    case inflight(InflightDescription)

    /// Header and payload, ready to send in answer to `request`.
    public func encode(for request: UInt32) -> [UInt8] {
        var payload = ByteWriter()
        switch self {
        case .number(let value): payload.u64(value)
        case .vringState(let index, let value):
            payload.u32(index)
            payload.u32(value)
        case .config(let access):
            if let access {
                payload.u32(access.offset)
                payload.u32(UInt32(access.bytes.count))
                payload.u32(access.flags)
                payload.append(access.bytes)
            }
        case .inflight(let description):
            payload.u64(description.byteCount)
            payload.u64(description.offset)
            payload.u16(description.queueCount)
            payload.u16(description.queueSize)
            payload.u32(0)  // padding
        }
        var message = ByteWriter()
        message.u32(request)
        message.u32(VhostUserHeader.version | VhostUserHeader.reply)
        message.u32(UInt32(payload.bytes.count))
        message.append(payload.bytes)
        return message.bytes
    }
}

extension ConfigAccess {
    /// The answer to this access: the same place, `bytes` as they are there.
    public func answered(_ bytes: [UInt8]) -> ConfigAccess {
        ConfigAccess(offset: offset, flags: flags, bytes: bytes)
    }
}
