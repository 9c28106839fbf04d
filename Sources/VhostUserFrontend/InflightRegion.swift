import Host
import VirtioSpec

/// Memory where a back-end notes which requests it has taken, so that the next one can go on with
/// them when it is killed (INFLIGHT_SHMFD). A front-end keeps it from one to the other, unread.
public final class InflightRegion: Sendable {
    public let descriptor: OwnedFD
    /// Bytes of the region, and where in its file it begins.
    public let byteCount: UInt64
    public let fileOffset: UInt64
    /// The queues that it has room for, and entries of each.
    public let queueCount: UInt16
    public let queueSize: UInt16

    public init(
        _ descriptor: consuming OwnedFD, byteCount: UInt64, fileOffset: UInt64 = 0,
        queueCount: UInt16, queueSize: UInt16
    ) {
        self.descriptor = descriptor
        self.byteCount = byteCount
        self.fileOffset = fileOffset
        self.queueCount = queueCount
        self.queueSize = queueSize
    }

    /// The description as messages carry it: what C puts behind its last field comes too.
    static func encode(
        byteCount: UInt64 = 0, fileOffset: UInt64 = 0, queueCount: UInt16, queueSize: UInt16
    ) -> [UInt8] {
        Bytes.of(byteCount) + Bytes.of(fileOffset) + Bytes.of(queueCount) + Bytes.of(queueSize)
            + Bytes.of(UInt32(0))
    }
}

extension FrontendConnection {
    /// Lets the back-end make a region for `queueCount` queues of `queueSize` entries.
    public func inflightRegion(
        queueCount: UInt16, queueSize: UInt16
    ) throws(FrontendError) -> InflightRegion {
        let wanted = InflightRegion.encode(queueCount: queueCount, queueSize: queueSize)
        var descriptors = ReceivedFDs()
        let reply = try ask(.getInflightFD, wanted, &descriptors)
        guard reply.payload.count == wanted.count, let file = descriptors.take(0) else {
            throw .badReply(reply.request, reply.payload.count)
        }
        return InflightRegion(
            file, byteCount: Bytes.u64(reply.payload, at: 0),
            fileOffset: Bytes.u64(reply.payload, at: 8),
            queueCount: Bytes.u16(reply.payload, at: 16),
            queueSize: Bytes.u16(reply.payload, at: 18))
    }

    /// Gives the back-end the region that it, or another before it, has made.
    public func setInflight(_ region: InflightRegion) throws(FrontendError) {
        let payload = InflightRegion.encode(
            byteCount: region.byteCount, fileOffset: region.fileOffset,
            queueCount: region.queueCount, queueSize: region.queueSize)
        try tell(.setInflightFD, payload, descriptors: [region.descriptor.raw])
    }
}
