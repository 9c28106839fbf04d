import Glibc

/// Random numbers that a failure can be repeated with: the seed is RINGWAY_SEED where that is set,
/// and stands in every message.
public struct Seeded: RandomNumberGenerator, Sendable {
    public let seed: UInt64
    private var state: UInt64

    /// - Parameter stream: which of the many strings of numbers that begin with one seed.
    public init(_ stream: Int = 0) {
        seed = Self.chosen
        state = seed &+ UInt64(stream) &* 0xd134_2543_de82_ef95
    }

    /// Numbers of their own, whatever RINGWAY_SEED says.
    public init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    private static let chosen: UInt64 = {
        let named = unsafe getenv("RINGWAY_SEED").map { unsafe String(cString: $0) }
        return named.flatMap { UInt64($0) } ?? UInt64.random(in: 1...999_999_999)
    }()

    /// For the message of an expectation.
    public var note: String { "RINGWAY_SEED=\(seed)" }

    // SplitMix64.
    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
    public mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next() >> 32) }
    }
}
