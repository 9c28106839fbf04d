// The commands of each class on the control queue (virtio 1.3 §5.1.6.5) and what data they carry.

/// Commands of the class `receiveMode`; each carries one byte, 0 for off or 1 for on.
public enum NetReceiveModeCommand {
    public static let promiscuous: UInt8 = 0
    public static let allMulticast: UInt8 = 1
    // From here on with CTRL_RX_EXTRA alone.
    public static let allUnicast: UInt8 = 2
    public static let noMulticast: UInt8 = 3
    public static let noUnicast: UInt8 = 4
    public static let noBroadcast: UInt8 = 5
}

/// Commands of the class `mac`.
public enum NetMACCommand {
    /// Two tables, of unicast and of multicast addresses: each a count u32, and so many addresses.
    public static let setTable: UInt8 = 0
    /// One address of 6 bytes.
    public static let setAddress: UInt8 = 1
}

/// Commands of the class `vlan`; each carries a VLAN's number, u16.
public enum NetVLANCommand {
    public static let add: UInt8 = 0
    public static let delete: UInt8 = 1
}

/// The command of the class `announce`, which carries nothing.
public enum NetAnnounceCommand {
    public static let acknowledge: UInt8 = 0
}

/// The command of the class `multiqueue` that is served; it carries a number of pairs, u16.
public enum NetMultiqueueCommand {
    public static let setPairs: UInt8 = 0
}

/// The command of the class `guestOffloads`; it carries the GUEST_* feature bits that hold, u64.
public enum NetGuestOffloadsCommand {
    public static let set: UInt8 = 0
}
