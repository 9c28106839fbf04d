import VirtioSpec

/// What a back-end is told before it hears of rings, and how another takes its place.
extension BlockDriver {
    /// All that goes before the rings, in the order that QEMU has.
    func introduce() throws(FrontendError) {
        try connection.negotiate(options.protocolFeatures, features)
        try connection.tell(.setOwner)
        try connection.setFeatures(features)
        if options.keepsInflight, connection.protocolFeatures.contains(.inflight) {
            if inflight == nil {
                inflight = try connection.inflightRegion(
                    queueCount: UInt16(options.queues), queueSize: options.queueSize)
            }
            if let inflight { try connection.setInflight(inflight) }
        }
        try connection.share(ram, bySlots: options.memoryBySlots)
    }

    /// Goes on with another back-end where the last one is gone, whether it ended or was killed. It
    /// is told everything anew, as QEMU does, and is not kicked. The rings stay as they are, and what
    /// is in flight on them is left to it.
    ///
    /// Throws where it offers less than the last one did. May be tried again after an error.
    public func reconnect(_ next: FrontendConnection) throws(FrontendError) {
        connection = next
        let missing = features.subtracting(try next.features())
        guard missing.isEmpty else { throw .notOffered(missing) }
        try introduce()
        for (index, queue) in queues.enumerated() {
            try start(index, base: queue.baseAfterLoss)
        }
    }
}
