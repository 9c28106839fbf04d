/// Which VLANs a port carries, and how (802.1Q §8).
public enum PortVLANs: Equatable, Sendable {
    /// One VLAN, without tags: frames get it as they come in. Tagged frames are refused.
    case access(UInt16)
    /// These VLANs, with tags; and one, where named, without.
    case trunk(VLANSet, native: UInt16?)
    /// Every VLAN, with its tag, and frames without a tag among themselves: a switch whose ports all
    /// are so lets tags pass as they are.
    case transparent

    /// The numbers a VLAN may have; 0 and 4095 mean something else.
    public static let numbers: ClosedRange<UInt16> = 1...4094
    /// Where frames without a tag are, on a transparent port.
    static let untagged: UInt16 = 0

    /// The VLAN of a frame that comes in without a tag; nil where there is none.
    var bare: UInt16? {
        switch self {
        case .access(let number): number
        case .trunk(_, let native): native
        case .transparent: Self.untagged
        }
    }

    /// Those that it carries with a tag.
    var tagged: VLANSet {
        switch self {
        case .access: VLANSet()
        case .trunk(let set, _): set
        case .transparent: .all
        }
    }

    /// Whether it takes frames that bring a tag with a VLAN's number.
    var takesTags: Bool {
        if case .access = self { false } else { true }
    }
}

/// Numbers of VLANs, as ranges that neither meet nor touch, lowest first.
public struct VLANSet: Equatable, Sendable {
    public private(set) var ranges: [ClosedRange<UInt16>] = []

    public init() {}

    public init(_ ranges: [ClosedRange<UInt16>]) {
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = self.ranges.last,
                range.lowerBound <= last.upperBound || range.lowerBound - 1 == last.upperBound
            {
                let upper = max(last.upperBound, range.upperBound)
                self.ranges[self.ranges.count - 1] = last.lowerBound...upper
            } else {
                self.ranges.append(range)
            }
        }
    }

    public static let all = VLANSet([PortVLANs.numbers])
    public var isEmpty: Bool { ranges.isEmpty }
    public func contains(_ number: UInt16) -> Bool { ranges.contains { $0.contains(number) } }
}
