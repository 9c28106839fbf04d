import VirtioSpec

/// What stands before a packet (virtio 1.3 §5.1.6): how its checksum is to be finished and into what
/// segments it may be cut. Read once from the guest, judged, then used.
@frozen
public struct NetHeader: Equatable, Sendable {
    public var flags: UInt8
    public var segmentation: UInt8
    /// Bytes of all headers, a hint.
    public var headerLength: UInt16
    /// Bytes of a segment, without its headers.
    public var segmentBytes: UInt16
    /// Where the checksum begins, from the packet's start.
    public var checksumStart: UInt16
    /// Where it goes, from its beginning.
    public var checksumOffset: UInt16
    /// Into how many buffers the packet was put, on its way into the guest.
    public var bufferCount: UInt16

    /// A packet that asks for nothing.
    @inlinable public static var plain: NetHeader { NetHeader(words: 0, 1 << 16) }

    /// - Parameters:
    ///   - low: bytes 0 to 7 of the header, little-endian.
    ///   - high: bytes 8 to 11.
    @inlinable
    @inline(__always)
    public init(words low: UInt64, _ high: UInt32) {
        flags = UInt8(truncatingIfNeeded: low)
        segmentation = UInt8(truncatingIfNeeded: low >> 8)
        headerLength = UInt16(truncatingIfNeeded: low >> 16)
        segmentBytes = UInt16(truncatingIfNeeded: low >> 32)
        checksumStart = UInt16(truncatingIfNeeded: low >> 48)
        checksumOffset = UInt16(truncatingIfNeeded: high)
        bufferCount = UInt16(truncatingIfNeeded: high >> 16)
    }

    /// The header's bytes as two little-endian words.
    @inlinable
    @inline(__always)
    public var words: (UInt64, UInt32) {
        let low =
            UInt64(flags) | UInt64(segmentation) << 8 | UInt64(headerLength) << 16
            | UInt64(segmentBytes) << 32 | UInt64(checksumStart) << 48
        return (low, UInt32(checksumOffset) | UInt32(bufferCount) << 16)
    }
}

/// What one end of a link can take unfinished.
@frozen
public struct NetOffloads: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8
    @inlinable
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Packets whose checksum is not finished.
    public static let checksum = NetOffloads(rawValue: 1)
    public static let tcp4 = NetOffloads(rawValue: 2)
    public static let tcp6 = NetOffloads(rawValue: 4)
    public static let ecn = NetOffloads(rawValue: 8)
    /// UDP datagrams of one size in one packet (USO).
    public static let udpDatagrams = NetOffloads(rawValue: 16)
    public static let all: NetOffloads = [.checksum, .tcp4, .tcp6, .ecn, .udpDatagrams]
}
