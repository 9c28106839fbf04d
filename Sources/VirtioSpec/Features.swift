/// A set of virtio feature bits, 0 to 63 (virtio 1.3 §2.2).
public struct Features: OptionSet, Hashable, Sendable {
    public let rawValue: UInt64

    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// The set that holds the one bit `number`, 0 to 63.
    public static func bit(_ number: UInt64) -> Features { Features(rawValue: 1 << number) }

    // Device independent bits (virtio 1.3 §6).
    /// Chains may hold a table of descriptors elsewhere in memory.
    public static let indirectDescriptors = bit(28)
    /// `used_event` and `avail_event` stand in for the ring's flags.
    public static let eventIndex = bit(29)
    public static let version1 = bit(32)
    public static let accessPlatform = bit(33)
    public static let packedRing = bit(34)
    public static let inOrder = bit(35)
    public static let ringReset = bit(40)

    // Bits that vhost-user claims for itself.
    /// VHOST_F_LOG_ALL: mark every page the device writes.
    public static let logAll = bit(26)
    /// VHOST_USER_F_PROTOCOL_FEATURES: the protocol's own features can be asked for.
    public static let protocolFeatures = bit(30)
}
