/// One `--vlan`: whose it is, and what it carries. `1=access:10`,
/// `uplink=trunk:10,20,100-199,native:1`, `others=access:1`.
public struct VLANOption: Equatable, Sendable {
    public enum Owner: Hashable, Sendable, CustomStringConvertible {
        /// Counted from 1, in the order of `--port`.
        case port(Int)
        case uplink
        /// Every port that has no `--vlan` of its own.
        case others

        public var description: String {
            switch self {
            case .port(let number): "port \(number)"
            case .uplink: "uplink"
            case .others: "others"
            }
        }
    }

    public let owner: Owner
    public let vlans: PortVLANs

    public init(_ text: String) throws(VLANFault) {
        do throws(Reason) {
            let parts = text.split(separator: "=", omittingEmptySubsequences: false)
            guard parts.count == 2 else {
                throw Reason("not of the form PORT=access:VLAN or PORT=trunk:VLAN,...")
            }
            owner = try Self.owner(parts[0])
            let (kind, rest) = try Self.kind(parts[1])
            vlans = kind == "access" ? try Self.access(rest) : try Self.trunk(rest)
        } catch {
            throw VLANFault(option: text, reason: error.text)
        }
    }

    private struct Reason: Error {
        let text: String
        init(_ text: String) { self.text = text }
    }

    private static func owner(_ text: Substring) throws(Reason) -> Owner {
        switch text {
        case "uplink": return .uplink
        case "others": return .others
        default:
            guard let number = digits(text), number >= 1, number <= PortSet.capacity else {
                throw Reason(
                    "\"\(text)\" is no port: a number from 1 in the order of --port, uplink,"
                        + " or others")
            }
            return .port(Int(number))
        }
    }

    private static func kind(_ text: Substring) throws(Reason) -> (Substring, Substring) {
        let kind = text.prefix { $0 != ":" }
        guard kind == "access" || kind == "trunk" else {
            throw Reason("\"\(kind)\" is neither access nor trunk")
        }
        let rest = text.dropFirst(kind.count + 1)
        guard !rest.isEmpty else {
            throw Reason("\(kind): without a VLAN; one has a number from 1 to 4094")
        }
        return (kind, rest)
    }

    private static func access(_ text: Substring) throws(Reason) -> PortVLANs {
        guard !text.contains(",") else {
            throw Reason("an access port is in one VLAN; a port in several is a trunk")
        }
        return .access(try number(text))
    }

    private static func trunk(_ text: Substring) throws(Reason) -> PortVLANs {
        var ranges: [ClosedRange<UInt16>] = []
        var native: UInt16?
        for item in text.split(separator: ",", omittingEmptySubsequences: false) {
            if item == "all" {
                ranges.append(PortVLANs.numbers)
            } else if item.hasPrefix("native:") {
                guard native == nil else {
                    throw Reason("two native VLANs; frames without a tag can be in one only")
                }
                native = try number(item.dropFirst("native:".count))
            } else {
                ranges.append(try range(item))
            }
        }
        return .trunk(VLANSet(ranges), native: native)
    }

    private static func range(_ text: Substring) throws(Reason) -> ClosedRange<UInt16> {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2 else {
            let only = try number(text)
            return only...only
        }
        let (first, last) = (try number(ends[0]), try number(ends[1]))
        guard first <= last else { throw Reason("\(text): the range ends before it begins") }
        return first...last
    }

    private static func number(_ text: Substring) throws(Reason) -> UInt16 {
        guard let number = digits(text), PortVLANs.numbers.contains(number) else {
            throw Reason("\"\(text)\" is no VLAN; one has a number from 1 to 4094")
        }
        return number
    }

    private static func digits(_ text: Substring) -> UInt16? {
        text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            ? UInt16(text) : nil
    }
}

/// What is wrong with a `--vlan`.
public struct VLANFault: Error, Equatable, Sendable, CustomStringConvertible {
    public let option: String
    public let reason: String

    public init(option: String, reason: String) {
        self.option = option
        self.reason = reason
    }

    public var description: String { "--vlan \(option): \(reason)" }
}

/// What all ports of a switch carry.
public enum VLANPlan {
    /// - Parameters:
    ///   - options: every `--vlan`. Without any, all ports are transparent.
    ///   - guests: ports that guests have.
    /// - Returns: one for each guest's port, in order, then the uplink's where there is one.
    public static func ports(
        _ options: [String], guests: Int, hasUplink: Bool
    ) throws(VLANFault) -> [PortVLANs] {
        let count = guests + (hasUplink ? 1 : 0)
        guard !options.isEmpty else { return Array(repeating: .transparent, count: count) }
        var plan = [PortVLANs?](repeating: nil, count: count)
        var others: PortVLANs?
        var named: Set<VLANOption.Owner> = []
        for text in options {
            let option = try VLANOption(text)
            guard named.insert(option.owner).inserted else {
                throw VLANFault(option: text, reason: "\(option.owner) has a --vlan already")
            }
            switch option.owner {
            case .others: others = option.vlans
            case .uplink where hasUplink: plan[guests] = option.vlans
            case .uplink: throw VLANFault(option: text, reason: "there is no --uplink")
            case .port(let number) where number <= guests: plan[number - 1] = option.vlans
            case .port:
                throw VLANFault(option: text, reason: "the last --port is number \(guests)")
            }
        }
        // A port that was forgotten must not end up where it sees more than the others.
        return try plan.enumerated().map { place, vlans throws(VLANFault) in
            if let vlans = vlans ?? others { return vlans }
            let name = place < guests ? "\(place + 1)" : "uplink"
            throw VLANFault(
                option: "\(name)=...",
                reason: "missing; where one port has a --vlan each needs one,"
                    + " or others=access:VLAN for the rest")
        }
    }
}
