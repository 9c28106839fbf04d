import VirtioSpec

/// What a driver writes before a packet, or finds there (virtio 1.3 §5.1.6).
public struct PacketHeader: Equatable, Sendable {
    public var flags: UInt8 = 0
    /// Of `NetSegmentation`.
    public var segmentation: UInt8 = 0
    public var headerLength: UInt16 = 0
    public var segmentBytes: UInt16 = 0
    public var checksumStart: UInt16 = 0
    public var checksumOffset: UInt16 = 0
    /// Of a received packet; 0 on the way out, and where the header has no room for it.
    public var bufferCount: UInt16 = 0

    public init() {}

    /// From the header's 10 or 12 bytes; what is missing reads as zero.
    public init(_ some: [UInt8]) {
        let missing = max(0, NetLayout.headerBytes - some.count)
        let bytes = some + [UInt8](repeating: 0, count: missing)
        flags = bytes[0]
        segmentation = bytes[1]
        headerLength = Bytes.u16(bytes, at: 2)
        segmentBytes = Bytes.u16(bytes, at: 4)
        checksumStart = Bytes.u16(bytes, at: 6)
        checksumOffset = Bytes.u16(bytes, at: 8)
        bufferCount = Bytes.u16(bytes, at: Self.bufferCountOffset)
    }

    static let bufferCountOffset = 10

    /// The first `count` bytes: 12, or 10 for a header without a buffer count.
    public func bytes(_ count: Int = NetLayout.headerBytes) -> [UInt8] {
        let words = [
            headerLength, segmentBytes, checksumStart, checksumOffset, bufferCount,
        ]
        return Array(([flags, segmentation] + words.flatMap { Bytes.of($0) }).prefix(count))
    }
}
