import BlockStores
import Host

import func Foundation.NSTemporaryDirectory
import struct Foundation.UUID

/// A lane and the ring it works through.
private struct Works<Lane: BlockLane & ~Copyable>: ~Copyable {
    private var lane: Lane
    private var ring: IORing

    init(_ store: Lane.Store, slots: Int, buffers: Int) throws {
        let lane = try Lane(store, slots: slots, tags: 0, buffers: buffers)
        ring = try IORing(depth: slots)
        self.lane = lane
    }

    mutating func submit(
        _ request: StoreRequest, _ buffers: borrowing IOVectors, slot: Int
    ) -> StoreOutcome? {
        lane.submit(request, buffers, slot: slot, &ring)
    }

    mutating func wait() -> (slot: Int, outcome: StoreOutcome) {
        while true {
            while let done = ring.next() {
                let slot = Int(done.tag)
                if let outcome = lane.complete(slot: slot, result: done.result, &ring) {
                    return (slot, outcome)
                }
            }
            ring.submitAndWait()
        }
    }
}

/// A lane, a ring and memory to move: what a worker has, without a queue.
final class LaneBench<Lane: BlockLane & ~Copyable> {
    private var works: Works<Lane>
    let memory: Mapping

    init(_ store: Lane.Store, slots: Int = 64, buffers: Int = 4096) throws {
        let works = try Works<Lane>(store, slots: slots, buffers: buffers)
        memory = try Mapping.anonymous(count: 16 << 20)
        self.works = works
    }

    /// `count` bytes of memory from `offset` on, in buffers of `piece` bytes that lie `gap` apart.
    func list(_ offset: Int, _ count: Int, piece: Int = 1 << 20, gap: Int = 0) -> [Range<Int>] {
        var pieces: [Range<Int>] = []
        var place = offset
        var left = count
        while left > 0 {
            let length = min(piece, left)
            pieces.append(place..<place + length)
            place += length + gap
            left -= length
        }
        return pieces
    }

    func put(_ bytes: [UInt8], _ pieces: [Range<Int>]) {
        var done = 0
        for piece in pieces {
            memory.write(bytes.span.extracting(done..<done + piece.count), at: piece.lowerBound)
            done += piece.count
        }
    }

    func get(_ pieces: [Range<Int>]) -> [UInt8] {
        pieces.flatMap { memory.bytes(at: $0.lowerBound, count: $0.count) }
    }

    /// Starts a request without waiting for it.
    func start(
        _ request: StoreRequest, _ pieces: [Range<Int>] = [], slot: Int = 0
    ) -> StoreOutcome? {
        var buffers = IOVectors(capacity: max(1, pieces.count))
        for piece in pieces {
            precondition(buffers.append(memory, at: piece.lowerBound, count: piece.count))
        }
        return works.submit(request, buffers, slot: slot)
    }

    /// Waits for the next request to end: its slot and outcome.
    func wait() -> (slot: Int, outcome: StoreOutcome) { works.wait() }

    /// Runs one request to its end.
    func run(_ request: StoreRequest, _ pieces: [Range<Int>] = []) -> StoreOutcome {
        start(request, pieces) ?? wait().outcome
    }
}

/// A file of the test's own, removed with it.
final class ScratchFile {
    let path: String

    /// - Parameter folder: where it is to be; its file system is what the test is about.
    init(bytes: UInt64, in folder: String = NSTemporaryDirectory()) throws {
        path = folder + "/ringway-\(UUID().uuidString.prefix(8)).img"
        try resize(bytes)
    }

    func resize(_ bytes: UInt64) throws {
        try File.resize(try File.open(path, [.writable, .create]), to: bytes)
    }

    deinit { File.remove(path) }
}

func noise(_ count: Int, seed: UInt64) -> [UInt8] {
    var state = seed | 1
    return (0..<count).map { _ in
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return UInt8(truncatingIfNeeded: state >> 32)
    }
}
