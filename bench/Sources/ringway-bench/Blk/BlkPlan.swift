import ArgumentParser
import Host
import VhostUserFrontend
import VirtioSpec

/// Which blocks, and which way.
enum BlkPattern: String, CaseIterable, ExpressibleByArgument, Codable, Sendable {
    case randread, randwrite, read, write

    var isRandom: Bool { self == .randread || self == .randwrite }
    var isRead: Bool { self == .randread || self == .read }
}

/// What is to be run, with every number judged.
struct BlkPlan: Sendable {
    var pattern: BlkPattern
    /// Of a hundred requests, those that read.
    var readPercent: Int
    var blockBytes: Int
    /// Requests in flight on each queue.
    var depth: Int
    var queues: Int
    /// Started and never used.
    var idleQueues: Int
    var queueSize: UInt16
    var isPacked: Bool
    var isIndirect: Bool
    var hugePages: Bool
    var seconds: Double
    var warmup: Double
    /// Requests a second at most, of all queues together.
    var rate: Double?
    /// Sleep until called instead of looking without end.
    var interrupts: Bool
    var isVerified: Bool
    /// One thread each; the queues go round them.
    var cpus: [Int32]
    /// Bytes of the device that are used at most.
    var limit: UInt64?

    var threads: Int { min(cpus.count, queues) }
    /// Descriptors that all requests of a queue take.
    static func entries(depth: Int, isIndirect: Bool) -> Int { isIndirect ? depth : 3 * depth }

    /// Bytes of guest memory for all of it, whole huge pages.
    var memoryBytes: UInt64 {
        let ring = BenchMemory.ringBytes(size: Int(queueSize), tables: isIndirect)
        let requests = depth * (64 + blockBytes) + 2 * 4096
        return BenchMemory.rounded((queues + idleQueues) * ring + queues * requests + (64 << 10))
    }
}

/// The blocks that a plan uses of the device it has found.
struct BlkSpan: Sendable {
    let blocks: UInt64
    let lanes: UInt64

    /// A queue's own share, of blocks that follow each other.
    func share(_ lane: Int) -> Range<UInt64> {
        let lane = UInt64(lane)
        return blocks / lanes * lane..<(lane + 1 == lanes ? blocks : blocks / lanes * (lane + 1))
    }
}

/// Random numbers that cost next to nothing (SplitMix64).
struct QuickRandom: Sendable {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        return Self.mix(state)
    }

    static func mix(_ value: UInt64) -> UInt64 {
        var mixed = value
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    mutating func below(_ limit: UInt64) -> UInt64 { next().multipliedFullWidth(by: limit).high }
}
