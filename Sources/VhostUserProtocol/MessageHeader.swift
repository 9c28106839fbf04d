import VirtioSpec

/// The twelve bytes before every payload.
public struct MessageHeader: Equatable, Sendable {
    public var request: UInt32
    public var flags: UInt32
    /// Bytes of payload that follow.
    public var size: UInt32

    /// Bytes of the longest payload that is read at all; a front-end that announces more has lost
    /// its place in the stream.
    public static let longestPayload = 4096

    public init(request: UInt32, flags: UInt32, size: UInt32) {
        self.request = request
        self.flags = flags
        self.size = size
    }

    /// From exactly `VhostUserHeader.bytes` bytes.
    public init(_ bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        request = reader.u32()
        flags = reader.u32()
        size = reader.u32()
    }

    public var wantsReply: Bool { flags & VhostUserHeader.needReply != 0 }

    /// Whether a payload may be read after this header.
    public func check() throws(ProtocolViolation) {
        guard flags & VhostUserHeader.versionMask == VhostUserHeader.version else {
            throw .wrongVersion(flags & VhostUserHeader.versionMask)
        }
        guard flags & VhostUserHeader.reply == 0 else { throw .replyUnasked(request) }
        guard size <= Self.longestPayload else { throw .payloadTooLong(request, size) }
    }
}

/// The front-end broke the protocol.
public enum ProtocolViolation: Error, Equatable, Sendable {
    case wrongVersion(UInt32)
    /// A message marked as a reply, though nothing was asked.
    case replyUnasked(UInt32)
    case payloadTooLong(UInt32, UInt32)
    case unknownRequest(UInt32)
    /// One that the specification knows and Ringway does not serve.
    case notServed(VhostUserRequest)
    case notNegotiated(VhostUserRequest)
    /// Bytes that came.
    case payloadSize(VhostUserRequest, Int)
    /// Descriptors that came.
    case descriptorCount(VhostUserRequest, Int)
    case tooManyRegions(Int)
}

/// Little-endian fields one after the other; reading past the end gives zeroes, so that sizes are
/// checked once, by the rule, before.
struct ByteReader {
    private let bytes: [UInt8]
    private var place = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    private mutating func integer(_ width: Int) -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<width where place + index < bytes.count {
            value |= UInt64(bytes[place + index]) << (8 * UInt64(index))
        }
        place += width
        return value
    }

    mutating func u16() -> UInt16 { UInt16(truncatingIfNeeded: integer(2)) }
    mutating func u32() -> UInt32 { UInt32(truncatingIfNeeded: integer(4)) }
    mutating func u64() -> UInt64 { integer(8) }
    mutating func rest() -> [UInt8] { Array(bytes.dropFirst(place)) }
}

/// Little-endian fields appended to bytes.
struct ByteWriter {
    private(set) var bytes: [UInt8] = []

    mutating func u16(_ value: UInt16) {
        for shift in 0..<2 { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * UInt16(shift)))) }
    }

    mutating func u32(_ value: UInt32) {
        for shift in 0..<4 { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * UInt32(shift)))) }
    }

    mutating func u64(_ value: UInt64) {
        for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * UInt64(shift)))) }
    }

    mutating func append(_ more: [UInt8]) { bytes += more }
}
