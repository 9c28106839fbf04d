/// Some of a switch's ports, 0 to 63.
@frozen
public struct PortSet: Hashable, Sendable, Sequence {
    /// Bit n for port n.
    public var rawValue: UInt64

    /// Ports that a switch has at most.
    public static let capacity = 64

    @inlinable
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    @inlinable
    public init() { rawValue = 0 }

    @inlinable
    public init(_ ports: some Sequence<Int>) {
        rawValue = 0
        for port in ports { insert(port) }
    }

    @inlinable
    @inline(__always)
    static func bit(_ port: Int) -> UInt64 {
        precondition(port >= 0 && port < capacity)
        return 1 &<< UInt64(truncatingIfNeeded: port)
    }

    @inlinable
    public var isEmpty: Bool { rawValue == 0 }
    @inlinable
    public var count: Int { rawValue.nonzeroBitCount }

    @inlinable
    @inline(__always)
    public func contains(_ port: Int) -> Bool { rawValue & Self.bit(port) != 0 }

    @inlinable
    public mutating func insert(_ port: Int) { rawValue |= Self.bit(port) }

    @inlinable
    public mutating func remove(_ port: Int) { rawValue &= ~Self.bit(port) }

    @inlinable
    public func intersection(_ other: PortSet) -> PortSet {
        PortSet(rawValue: rawValue & other.rawValue)
    }

    @inlinable
    public func union(_ other: PortSet) -> PortSet {
        PortSet(rawValue: rawValue | other.rawValue)
    }

    @inlinable
    public func subtracting(_ other: PortSet) -> PortSet {
        PortSet(rawValue: rawValue & ~other.rawValue)
    }

    /// Takes the lowest port out; nil where there is none.
    @inlinable
    @inline(__always)
    public mutating func popFirst() -> Int? {
        guard rawValue != 0 else { return nil }
        let port = rawValue.trailingZeroBitCount
        rawValue &= rawValue &- 1
        return port
    }

    @frozen
    public struct Iterator: IteratorProtocol {
        @usableFromInline var left: PortSet
        @inlinable
        init(_ set: PortSet) { left = set }
        @inlinable
        public mutating func next() -> Int? { left.popFirst() }
    }

    /// Lowest first.
    @inlinable
    public func makeIterator() -> Iterator { Iterator(self) }
}
