import VirtioSpec

/// What every driver does on its way to running rings.
extension FrontendConnection {
    /// Accepts of the protocol's own features those that are offered and among `some`; none where
    /// `features` does not hold the bit for them, or `some` is nil.
    func negotiate(_ some: ProtocolFeatures?, _ features: Features) throws(FrontendError) {
        guard let some, features.contains(.protocolFeatures) else { return }
        try setProtocolFeatures(protocolFeaturesOffered().intersection(some))
    }

    /// - Parameter bySlots: region by region (ADD_MEM_REG) instead of in one table.
    func share(_ ram: GuestRAM, bySlots: Bool) throws(FrontendError) {
        guard bySlots else { return try setMemoryTable(ram) }
        for region in ram.regions {
            try addRegion(region.description, descriptor: region.memory.descriptor.raw)
        }
    }

    /// Describes a ring and starts it where it is to go on.
    /// - Parameters:
    ///   - base: as GET_VRING_BASE gave it, or `DriverQueue.start`.
    ///   - features: as negotiated; without the protocol's own, rings are enabled by themselves.
    func start(
        _ index: Int, _ place: RingPlace, base: UInt32, _ features: Features
    ) throws(FrontendError) {
        let ring = UInt32(index)
        try setVringNum(ring, UInt32(place.size))
        try setVringBase(ring, base)
        try setVringAddress(
            ring, descriptors: place.descriptors, used: place.used, available: place.available)
        try setVringFD(.setVringError, ring, place.error)
        try setVringFD(.setVringCall, ring, place.call)
        try setVringFD(.setVringKick, ring, place.kick)
        guard features.contains(.protocolFeatures) else { return }
        try setVringEnable(ring, 1)
    }
}

extension Features {
    /// These without the features that are not wanted; throws where one that is wanted is not here.
    func choosing(_ choices: [(Features, isWanted: Bool)]) throws(FrontendError) -> Features {
        var chosen = self
        for (feature, isWanted) in choices {
            if !isWanted { chosen.remove(feature) }
            guard !isWanted || chosen.contains(feature) else { throw .notOffered(feature) }
        }
        return chosen
    }
}
