import VirtioNet

/// What a table of addresses knows of a port.
@frozen
public struct AddressBook: Sendable {
    /// Stations in the table, those among them that are about to be forgotten.
    public internal(set) var stations = 0
    /// Stations that came here from another port.
    public internal(set) var moves: UInt64 = 0
    /// Frames of stations that move too often: they stayed where they were.
    public internal(set) var refusedMoves: UInt64 = 0
    /// Stations that gave their place to another.
    public internal(set) var displaced: UInt64 = 0
    /// Frames of stations for which there was no place.
    public internal(set) var unlearnt: UInt64 = 0

    @usableFromInline var notices: Notices = []
    /// The first station whose move was refused, and where it stayed.
    private var refusedKey: UInt64 = 0
    private var holder: UInt8 = 0

    init() {}

    @usableFromInline
    @frozen
    struct Notices: OptionSet {
        @usableFromInline let rawValue: UInt8
        @usableFromInline
        init(rawValue: UInt8) { self.rawValue = rawValue }
        static let moves = Notices(rawValue: 1)
        static let saidMoves = Notices(rawValue: 2)
        static let crowd = Notices(rawValue: 4)
        static let saidCrowd = Notices(rawValue: 8)
    }

    mutating func refuseMove(of key: UInt64, heldBy port: Int) {
        refusedMoves &+= 1
        guard !notices.contains(.moves) else { return }
        notices.insert(.moves)
        refusedKey = key
        holder = UInt8(truncatingIfNeeded: port)
    }

    mutating func displace() {
        displaced &+= 1
        notices.insert(.crowd)
    }

    mutating func leaveUnlearnt() {
        unlearnt &+= 1
        notices.insert(.crowd)
    }

    /// The port's next guest is another's business; the counts go on.
    mutating func startAnew() { notices = [] }

    mutating func takeNotice(_ port: Int) -> SwitchNotice? {
        if notices.isDisjoint(with: .saidMoves), notices.contains(.moves) {
            notices.insert(.saidMoves)
            return .moving(
                MACAddress(rawValue: refusedKey), vlan: UInt16(refusedKey >> 48 & 0xfff),
                from: Int(holder), to: port)
        }
        if notices.isDisjoint(with: .saidCrowd), notices.contains(.crowd) {
            notices.insert(.saidCrowd)
            return .crowded(port, stations: stations)
        }
        return nil
    }
}

/// What an operator should hear of a port, once while its guest is there.
public enum SwitchNotice: Equatable, Sendable {
    /// A station keeps sending from both ports, and stays at the first for now: a loop between them,
    /// or one address with two owners.
    case moving(MACAddress, vlan: UInt16, from: Int, to: Int)
    /// More stations send from the port than the table has places for.
    case crowded(Int, stations: Int)
}
