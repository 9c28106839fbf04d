import VirtioSpec

/// What one vhost-user message must look like, and what it is answered with.
public struct Rule: Sendable {
    public enum Payload: Equatable, Sendable {
        case bytes(Int)
        /// A count of regions and as many regions.
        case memoryTable
        /// offset, size, flags and `size` bytes.
        case config
    }

    /// What must have been negotiated before the message may come.
    public enum Gate: Equatable, Sendable {
        case open
        /// VHOST_USER_F_PROTOCOL_FEATURES, or any protocol feature.
        case protocolFeatures
        case feature(ProtocolFeatures)
    }

    public enum Answer: Equatable, Sendable {
        /// A reply of the message's own, always.
        case inKind
        /// A u64, 0 for success, where the front-end asked for one.
        case acknowledgement
    }

    public let payload: Payload
    /// How many descriptors come along.
    public let descriptors: ClosedRange<Int>
    public let gate: Gate
    public let answer: Answer

    init(
        _ payload: Payload, _ descriptors: ClosedRange<Int> = 0...0, _ gate: Gate = .open,
        _ answer: Answer = .acknowledgement
    ) {
        self.payload = payload
        self.descriptors = descriptors
        self.gate = gate
        self.answer = answer
    }

    /// The row of `request`, or nil where Ringway does not serve that message.
    public static func of(_ request: VhostUserRequest) -> Rule? { table[request] }

    private static let table: [VhostUserRequest: Rule] = [
        .getFeatures: Rule(.bytes(0), 0...0, .open, .inKind),
        .setFeatures: Rule(.bytes(8)),
        .setOwner: Rule(.bytes(0)),
        .resetOwner: Rule(.bytes(0)),
        .setMemoryTable: Rule(.memoryTable, 0...8),
        .setVringNum: Rule(.bytes(8)),
        .setVringAddress: Rule(.bytes(40)),
        .setVringBase: Rule(.bytes(8)),
        .getVringBase: Rule(.bytes(8), 0...0, .open, .inKind),
        .setVringKick: Rule(.bytes(8), 0...1),
        .setVringCall: Rule(.bytes(8), 0...1),
        .setVringError: Rule(.bytes(8), 0...1),
        // These two are legal as soon as bit 30 is offered, and we always offer it.
        .getProtocolFeatures: Rule(.bytes(0), 0...0, .open, .inKind),
        .setProtocolFeatures: Rule(.bytes(8)),
        .getQueueCount: Rule(.bytes(0), 0...0, .feature(.multiqueue), .inKind),
        .setVringEnable: Rule(.bytes(8), 0...0, .protocolFeatures),
        .sendRARP: Rule(.bytes(8), 0...0, .feature(.rarp)),
        .netSetMTU: Rule(.bytes(8), 0...0, .feature(.netMTU)),
        .setBackendRequestFD: Rule(.bytes(0), 1...1, .feature(.backendRequests)),
        .getConfig: Rule(.config, 0...0, .feature(.config), .inKind),
        .setConfig: Rule(.config, 0...0, .feature(.config)),
        .getInflightFD: Rule(.bytes(24), 0...0, .feature(.inflight), .inKind),
        .setInflightFD: Rule(.bytes(24), 1...1, .feature(.inflight)),
        .resetDevice: Rule(.bytes(0), 0...0, .feature(.resetDevice)),
        .getMaxMemorySlots: Rule(.bytes(0), 0...0, .feature(.memorySlots), .inKind),
        .addMemoryRegion: Rule(.bytes(40), 1...1, .feature(.memorySlots)),
        // One descriptor may come along; nobody takes it, so it is closed.
        .removeMemoryRegion: Rule(.bytes(40), 0...1, .feature(.memorySlots)),
        .setStatus: Rule(.bytes(8), 0...0, .feature(.status)),
        .getStatus: Rule(.bytes(0), 0...0, .feature(.status), .inKind),
        .getVringBaseSkipDrain: Rule(
            .bytes(8), 0...0, .feature(.getVringBaseSkipDrain), .inKind),
    ]
}
