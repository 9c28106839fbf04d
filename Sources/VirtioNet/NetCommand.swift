import VirtioSpec

/// A control command, read: its data is as long as it must be, and means something.
enum NetCommand: Equatable {
    /// The command's number in the class RX.
    case receiveMode(UInt8, Bool)
    case setTables(unicast: [MACAddress], multicast: [MACAddress])
    case setAddress(MACAddress)
    case setMember(vlan: UInt16, Bool)
    case acknowledgeAnnounce
    case setPairs(Int)
    case setOffloads(Features)

    /// Nil where the command is not known, or its data is cut short, too long, or out of range.
    init?(_ class: UInt8, _ command: UInt8, _ data: [UInt8]) {
        let read: NetCommand?
        switch (`class`, command) {
        case (NetControlClass.receiveMode, 0...NetReceiveModeCommand.noBroadcast):
            read = Self.number(data, 1).flatMap {
                $0 <= 1 ? .receiveMode(command, $0 == 1) : nil
            }
        case (NetControlClass.mac, NetMACCommand.setTable): read = Self.tables(data)
        case (NetControlClass.mac, NetMACCommand.setAddress):
            // No station has the address of a group.
            read = Self.number(data, 6).map { MACAddress(rawValue: $0) }
                .flatMap { $0.isMulticast ? nil : .setAddress($0) }
        case (NetControlClass.vlan, NetVLANCommand.add),
            (NetControlClass.vlan, NetVLANCommand.delete):
            read = Self.number(data, 2).flatMap {
                $0 < ReceiveFilter.vlanCount
                    ? .setMember(vlan: UInt16($0), command == NetVLANCommand.add) : nil
            }
        case (NetControlClass.announce, NetAnnounceCommand.acknowledge):
            read = data.isEmpty ? .acknowledgeAnnounce : nil
        case (NetControlClass.multiqueue, NetMultiqueueCommand.setPairs):
            read = Self.number(data, 2).map { .setPairs(Int($0)) }
        case (NetControlClass.guestOffloads, NetGuestOffloadsCommand.set):
            read = Self.number(data, 8).map { .setOffloads(Features(rawValue: $0)) }
        default: read = nil
        }
        guard let read else { return nil }
        self = read
    }

    /// The feature that allows the command.
    var feature: Features {
        switch self {
        case .receiveMode(let number, _) where number > NetReceiveModeCommand.allMulticast:
            .netControlReceiveModeExtra
        case .receiveMode, .setTables: .netControlReceiveMode
        case .setAddress: .netControlMAC
        case .setMember: .netControlVLAN
        case .acknowledgeAnnounce: .netGuestAnnounce
        case .setPairs: .netMultiqueue
        case .setOffloads: .netControlGuestOffloads
        }
    }

    /// The little-endian number of `bytes` bytes that `data` is, and nothing beside.
    private static func number(_ data: [UInt8], _ bytes: Int) -> UInt64? {
        guard data.count == bytes else { return nil }
        return data.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func tables(_ data: [UInt8]) -> NetCommand? {
        var rest = data[...]
        guard let unicast = table(&rest), let multicast = table(&rest), rest.isEmpty else {
            return nil
        }
        return .setTables(unicast: unicast, multicast: multicast)
    }

    /// Takes a count of 32 bits and as many addresses off the front of `data`.
    private static func table(_ data: inout ArraySlice<UInt8>) -> [MACAddress]? {
        guard let count = number(Array(data.prefix(4)), 4),
            count <= UInt64(data.count - 4) / 6
        else { return nil }
        data = data.dropFirst(4)
        var addresses: [MACAddress] = []
        for _ in 0..<count {
            addresses.append(MACAddress(data.prefix(6)))
            data = data.dropFirst(6)
        }
        return addresses
    }
}
