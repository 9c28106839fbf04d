import CRing

/// What a chain took over many rounds, in nanoseconds.
struct RingTime: Codable {
    var median: Double
    var best: Double

    /// Nil where there was no round.
    init?(_ rounds: [Double]) {
        let sorted = rounds.sorted()
        guard let first = sorted.first else { return nil }
        best = first
        median = sorted[sorted.count / 2]
    }
}

/// A device and the driver beside it.
struct RingPair<Device: RingDevice & ~Copyable>: ~Copyable {
    private let driver: RingDriver
    private var device: Device

    init(_ device: Device.Type, _ ringCase: RingCase, apart: Bool) throws {
        let guest = try RingGuest(dataIsApart: apart)
        self.device = try Device(guest)
        driver = RingDriver(ringCase.form, ringCase.shape, guest)
    }

    /// Runs some batches. Returns nanoseconds in `breathe`, and in looking at the clock twice.
    mutating func run(batch: Int, batches: Int) throws -> UInt64 {
        var spent: UInt64 = 0
        for _ in 0..<batches {
            driver.offer(batch)
            let start = ring_now()
            let count = device.breathe()
            let end = ring_now()
            spent &+= end &- start
            guard count == batch, driver.takeBack() else { throw RingError.broken }
        }
        return spent
    }

    /// Nanoseconds a chain, over one round.
    mutating func round(_ ringCase: RingCase) throws -> Double {
        let batches = max(1, 1 << 15 / ringCase.batch)
        let clock = RingClock.cost()
        let spent = try run(batch: ringCase.batch, batches: batches)
        let mine = Double(spent) - Double(clock) * Double(batches)
        return max(0, mine) / Double(batches * ringCase.batch)
    }
}

/// Nanoseconds a chain, round by round.
struct RingRounds {
    var swift: [Double] = []
    var c: [Double] = []

    /// Both languages in turn, so that what disturbs the machine disturbs both.
    static func time(_ ringCase: RingCase, _ rounds: Int, apart: Bool) throws -> RingRounds {
        switch ringCase.form {
        case .split:
            try time(SwiftSplitDevice.self, CSplitDevice.self, ringCase, rounds, apart: apart)
        case .packed:
            try time(SwiftPackedDevice.self, CPackedDevice.self, ringCase, rounds, apart: apart)
        }
    }

    private static func time<One: RingDevice & ~Copyable, Other: RingDevice & ~Copyable>(
        _ one: One.Type, _ other: Other.Type, _ ringCase: RingCase, _ rounds: Int, apart: Bool
    ) throws -> RingRounds {
        var result = RingRounds()
        guard rounds > 0 else { return result }
        var swift = try RingPair(one, ringCase, apart: apart)
        var c = try RingPair(other, ringCase, apart: apart)
        _ = try (swift.round(ringCase), c.round(ringCase))
        for round in 0..<rounds {
            if round % 2 == 0 { result.swift.append(try swift.round(ringCase)) }
            result.c.append(try c.round(ringCase))
            if round % 2 == 1 { result.swift.append(try swift.round(ringCase)) }
        }
        return result
    }
}

enum RingClock {
    /// Nanoseconds that looking at the clock twice adds to what lies between.
    static func cost() -> UInt64 {
        var costs: [UInt64] = []
        for _ in 0..<1001 {
            let start = ring_now()
            costs.append(ring_now() &- start)
        }
        return costs.sorted()[costs.count / 2]
    }
}
