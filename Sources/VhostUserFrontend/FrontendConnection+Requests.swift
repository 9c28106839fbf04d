import VirtioSpec

/// The protocol's messages, one call each.
extension FrontendConnection {
    public func features() throws(FrontendError) -> Features {
        Features(rawValue: try ask(.getFeatures).number)
    }

    public func setFeatures(_ features: Features) throws(FrontendError) {
        try tell(.setFeatures, Bytes.of(features.rawValue))
    }

    public func protocolFeaturesOffered() throws(FrontendError) -> ProtocolFeatures {
        ProtocolFeatures(rawValue: try ask(.getProtocolFeatures).number)
    }

    public func queueCount() throws(FrontendError) -> UInt64 { try ask(.getQueueCount).number }

    public func setMemoryTable(_ ram: GuestRAM) throws(FrontendError) {
        try setMemoryTable(
            ram.regions.map(\.description),
            descriptors: ram.regions.map { $0.memory.descriptor.raw })
    }

    public func setMemoryTable(
        _ regions: [MemoryRegion], descriptors: [Int32]
    ) throws(FrontendError) {
        let header = Bytes.of(UInt32(regions.count)) + Bytes.of(UInt32(0))
        try tell(
            .setMemoryTable, header + regions.flatMap { Self.encode($0) }, descriptors: descriptors)
    }

    public func addRegion(_ region: MemoryRegion, descriptor: Int32) throws(FrontendError) {
        try tell(
            .addMemoryRegion, Bytes.of(UInt64(0)) + Self.encode(region), descriptors: [descriptor])
    }

    public func removeRegion(_ region: MemoryRegion) throws(FrontendError) {
        try tell(.removeMemoryRegion, Bytes.of(UInt64(0)) + Self.encode(region))
    }

    private static func encode(_ region: MemoryRegion) -> [UInt8] {
        [region.guestAddress, region.byteCount, region.userAddress, region.fileOffset]
            .flatMap { Bytes.of($0) }
    }

    public func setVringNum(_ index: UInt32, _ size: UInt32) throws(FrontendError) {
        try tell(.setVringNum, Bytes.of(index) + Bytes.of(size))
    }

    /// Ring parts by user address.
    public func setVringAddress(
        _ index: UInt32, descriptors: UInt64, used: UInt64, available: UInt64, flags: UInt32 = 0
    ) throws(FrontendError) {
        let parts = [descriptors, used, available, 0].flatMap { Bytes.of($0) }
        try tell(.setVringAddress, Bytes.of(index) + Bytes.of(flags) + parts)
    }

    public func setVringBase(_ index: UInt32, _ base: UInt32) throws(FrontendError) {
        try tell(.setVringBase, Bytes.of(index) + Bytes.of(base))
    }

    /// Stops the ring and returns its base.
    public func vringBase(_ index: UInt32) throws(FrontendError) -> UInt32 {
        let reply = try ask(.getVringBase, Bytes.of(index) + Bytes.of(UInt32(0)))
        guard reply.payload.count == 8, Bytes.u32(reply.payload, at: 0) == index else {
            throw .badReply(reply.request, reply.payload.count)
        }
        return Bytes.u32(reply.payload, at: 4)
    }

    /// A kick, call or error descriptor for a ring; nil says that there is none.
    public func setVringFD(
        _ request: VhostUserRequest, _ index: UInt32, _ descriptor: Int32?
    ) throws(FrontendError) {
        let mark = descriptor == nil ? VhostUserLayout.noDescriptor : 0
        try tell(
            request, Bytes.of(UInt64(index) | mark), descriptors: descriptor.map { [$0] } ?? [])
    }

    public func setVringEnable(_ index: UInt32, _ value: UInt32) throws(FrontendError) {
        try tell(.setVringEnable, Bytes.of(index) + Bytes.of(value))
    }

    /// `count` bytes of configuration space, or nil where the back-end refuses.
    public func config(offset: UInt32, count: UInt32) throws(FrontendError) -> [UInt8]? {
        let request = Bytes.of(offset) + Bytes.of(count) + Bytes.of(UInt32(0))
        let reply = try ask(.getConfig, request + [UInt8](repeating: 0, count: Int(count)))
        guard !reply.payload.isEmpty else { return nil }
        guard reply.payload.count == VhostUserLayout.configHeaderBytes + Int(count) else {
            throw .badReply(reply.request, reply.payload.count)
        }
        return Array(reply.payload.dropFirst(VhostUserLayout.configHeaderBytes))
    }

    public func setConfig(offset: UInt32, _ bytes: [UInt8]) throws(FrontendError) {
        let header = Bytes.of(offset) + Bytes.of(UInt32(bytes.count)) + Bytes.of(UInt32(0))
        try tell(.setConfig, header + bytes)
    }

    /// NET_SET_MTU, in bytes.
    public func setMTU(_ mtu: UInt64) throws(FrontendError) {
        try tell(.netSetMTU, Bytes.of(mtu))
    }

    /// SEND_RARP: the back-end announces the guest's MAC address, its first byte first.
    public func sendRARP(_ address: [UInt8]) throws(FrontendError) {
        try tell(.sendRARP, address + [UInt8](repeating: 0, count: 8 - min(8, address.count)))
    }
}
