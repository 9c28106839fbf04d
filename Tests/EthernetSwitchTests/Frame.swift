import EthernetSwitch
import VirtioNet

/// A frame as a test makes it, and as bytes.
struct Frame: Equatable {
    struct Tag: Equatable {
        var type: UInt16 = 0x8100
        var control: UInt16
    }

    var destination: MACAddress
    var source: MACAddress
    var tags: [Tag] = []
    var payload: [UInt8] = [8, 0, 1, 2, 3, 4, 5, 6]

    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        for address in [destination, source] {
            bytes += (0..<6).map { UInt8(truncatingIfNeeded: address.rawValue >> ($0 * 8)) }
        }
        for word in tags.flatMap({ [$0.type, $0.control] }) {
            bytes += [UInt8(word >> 8), UInt8(word & 0xff)]
        }
        return bytes + payload
    }

    var key: FrameKey? { Frame.key(bytes) }

    /// - Parameter filler: what lies behind a frame that ends before its 18th byte.
    static func key(_ bytes: [UInt8], filler: UInt8 = 0) -> FrameKey? {
        let start =
            Array(bytes.prefix(18)) + Array(repeating: filler, count: max(0, 18 - bytes.count))
        func word(_ place: Int, _ count: Int) -> UInt64 {
            (0..<count).reduce(0) { $0 | UInt64(start[place + $1]) << (8 * UInt64($1)) }
        }
        return FrameKey(word(0, 8), word(8, 8), UInt16(word(16, 2)), count: bytes.count)
    }
}

extension TagChange {
    /// What a port does to a frame's bytes where it is told this.
    func made(to bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        switch self {
        case .none: break
        case .remove: bytes.removeSubrange(12..<16)
        case .insert(let control):
            bytes.insert(
                contentsOf: [0x81, 0, UInt8(control >> 8), UInt8(control & 0xff)], at: 12)
        case .replace(let control):
            bytes.replaceSubrange(14..<16, with: [UInt8(control >> 8), UInt8(control & 0xff)])
        }
        return bytes
    }
}

extension Verdict {
    /// The bytes that each port gets.
    func deliveries(of bytes: [UInt8]) -> [Int: [UInt8]] {
        switch self {
        case .drop: return [:]
        case .to(let port, let change): return [port: change.made(to: bytes)]
        case .flood(let flood):
            var all: [Int: [UInt8]] = [:]
            for port in flood.bare { all[port] = flood.bareChange.made(to: bytes) }
            for port in flood.tagged { all[port] = flood.taggedChange.made(to: bytes) }
            return all
        }
    }

    var reason: DropReason? {
        if case .drop(let reason) = self { reason } else { nil }
    }

    /// The ports that get the frame.
    var ports: Set<Int> { Set(deliveries(of: [UInt8](repeating: 0, count: 64)).keys) }
}

extension MACAddress {
    static let broadcast = MACAddress(rawValue: 0xffff_ffff_ffff)
}

/// A station of a test's: 02:00:00:00 and its number.
func station(_ number: Int) -> MACAddress {
    MACAddress(
        rawValue: 2 | UInt64(number >> 8 & 0xff) << 32 | UInt64(number & 0xff) << 40
            | UInt64(number >> 16 & 0xff) << 24)
}

/// A switch whose ports all have guests.
func fullSwitch(
    _ ports: [PortVLANs], capacity: Int = 4096, ageSeconds: UInt32 = 300,
    secret: (UInt64, UInt64)? = nil
) -> SwitchTable {
    var table = SwitchTable(
        ports: ports, capacity: capacity, ageSeconds: ageSeconds, secret: secret)
    for port in 0..<ports.count { table.attach(port) }
    return table
}

extension SwitchTable {
    /// Sends from one station to another.
    mutating func send(
        _ source: Int, to destination: Int, from port: Int, now: UInt32 = 1, tag: FrameTag = .none
    ) -> Verdict {
        forward(
            FrameKey(destination: station(destination), source: station(source), tag: tag),
            from: port, now: now)
    }

    mutating func broadcast(
        _ source: Int, from port: Int, now: UInt32 = 1, tag: FrameTag = .none
    ) -> Verdict {
        forward(
            FrameKey(destination: .broadcast, source: station(source), tag: tag), from: port,
            now: now)
    }

    /// The port to which a frame for `number` goes, by asking from `port`, which sends from a station
    /// of its own; nil where it is not known.
    mutating func home(of number: Int, askedFrom port: Int, now: UInt32 = 1) -> Int? {
        if case .to(let out, _) = send(0xf000 + port, to: number, from: port, now: now) {
            return out
        }
        return nil
    }
}
