import VirtioSpec

// Which feature bits mean which offload, and what needs what (virtio 1.3 §5.1.3.1).
extension NetOffloads {
    /// Without what lacks the offload it builds on: all of them build on the checksum, ECN on TCP.
    var coherent: NetOffloads {
        guard contains(.checksum) else { return [] }
        return isDisjoint(with: [.tcp4, .tcp6]) ? subtracting(.ecn) : self
    }

    /// What the driver may hand out unfinished, by the features it accepted.
    init(fromDriver features: Features) {
        var offloads: NetOffloads = []
        for (offload, feature) in Self.fromDriver where features.isSuperset(of: feature) {
            offloads.insert(offload)
        }
        self = offloads.coherent
    }

    /// What the driver takes unfinished, by the features it accepted.
    init(toDriver features: Features) {
        var offloads: NetOffloads = []
        for (offload, feature) in Self.toDriver where features.isSuperset(of: feature) {
            offloads.insert(offload)
        }
        self = offloads.coherent
    }

    /// The features to offer where the port takes these.
    var featuresFromDriver: Features {
        Self.fromDriver.reduce(into: []) { if coherent.contains($1.0) { $0.formUnion($1.1) } }
    }

    /// The features to offer where the port gives these.
    var featuresToDriver: Features {
        Self.toDriver.reduce(into: []) { if coherent.contains($1.0) { $0.formUnion($1.1) } }
    }

    private static let fromDriver: [(NetOffloads, Features)] = [
        (.checksum, .netChecksum), (.tcp4, .netHostTSO4), (.tcp6, .netHostTSO6),
        (.ecn, .netHostECN), (.udpDatagrams, .netHostUSO),
    ]

    // Datagrams are known by one bit here, whatever IP they go by: so a driver that takes them by one
    // IP alone gets them whole.
    private static let toDriver: [(NetOffloads, Features)] = [
        (.checksum, .netGuestChecksum), (.tcp4, .netGuestTSO4), (.tcp6, .netGuestTSO6),
        (.ecn, .netGuestECN), (.udpDatagrams, [.netGuestUSO4, .netGuestUSO6]),
    ]

    /// Every bit that the command GUEST_OFFLOADS may name.
    static let guestFeatures: Features = toDriver.reduce(into: []) { $0.formUnion($1.1) }
}
