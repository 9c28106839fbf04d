import Glibc
import Host
import Testing
import VirtioBlock
import VirtioSpec

@testable import VhostUserFrontend

/// Messages byte by byte, and what must come back.
extension FrontendConnection {
    /// Sends a message that asks for an acknowledgement, and returns the answer.
    func exchange(
        _ request: VhostUserRequest, _ payload: [UInt8] = [], descriptors: [Int32] = []
    ) throws(FrontendError) -> Message {
        try send(
            request.rawValue, flags: VhostUserHeader.needReply, payload, descriptors: descriptors)
        return try receive()
    }

    /// All that is offered, but for what makes rings packed or ordered.
    func featuresOfSplitRings() throws(FrontendError) -> Features {
        try features().subtracting([.packedRing, .inOrder])
    }

    /// Features first, then protocol features, as most front-ends do.
    func negotiate(_ features: ProtocolFeatures = .max) throws(FrontendError) {
        let offered = try featuresOfSplitRings()
        let protocolOffered = try protocolFeaturesOffered()
        try setProtocolFeatures(protocolOffered.intersection(features))
        try setFeatures(offered)
    }

    /// Describes a ring and leaves it stopped.
    func describe(_ index: UInt32, _ queue: DriverQueue) throws(FrontendError) {
        try setVringNum(index, UInt32(queue.size))
        try setAddresses(index, queue)
    }

    func setAddresses(_ index: UInt32, _ queue: DriverQueue) throws(FrontendError) {
        try setVringAddress(
            index, descriptors: queue.ram.userAddress(queue.descriptors),
            used: queue.ram.userAddress(queue.used),
            available: queue.ram.userAddress(queue.available))
    }

    /// Whether the back-end has taken every message so far and still talks.
    func isAlive() -> Bool { (try? features()) != nil }
}

extension FrontendConnection.Message {
    /// A u64 in answer to `request`, with nothing but version and reply in its flags.
    static func number(_ request: VhostUserRequest, _ value: UInt64) -> Self {
        Self(request: request.rawValue, flags: 5, payload: Bytes.of(value))
    }
}

extension ProtocolFeatures {
    static let max = ProtocolFeatures(rawValue: .max)
    static let silent = max.subtracting(.replyAck)
}

extension BlockDriver {
    /// What a disk that works does, at a place of the caller's choice.
    func works(sector: UInt64 = 64, queue: Int = 0) throws -> Bool {
        let data = (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ Int(sector)) }
        guard try write(sector: sector, data, queue: queue).status == 0 else { return false }
        let answer = try read(sector: sector, count: data.count, queue: queue)
        return answer == BlockAnswer(status: 0, data: data, written: 4097)
    }

    /// Offers a read of one sector on a queue, into memory of its own; neither shown nor kicked.
    func offerRead(sector: UInt64 = 0, queue: Int = 0, token: UInt64 = 0) -> OfferedRead {
        let place = ram.allocate(1024)
        ram.write(
            Bytes.of(BlockRequestType.in) + Bytes.of(UInt32(0)) + Bytes.of(sector), at: place)
        ram.write([Self.untouchedStatus], at: place + 16)
        let buffers: [DriverBuffer] = [
            .readable(place, 16), .writable(place + 32, 512), .writable(place + 16, 1),
        ]
        #expect(queues[queue].offer(buffers, token: token) != nil)
        return OfferedRead(ram: ram, place: place)
    }

    /// Waits for the next finished chain of a queue; returns its token.
    @discardableResult
    func finish(queue: Int = 0) throws -> UInt64 {
        try queues[queue].waitForUsed(milliseconds: deadline)
        return try #require(try queues[queue].reap()).token
    }
}

extension BlockDriver {
    /// Offers a request whose data lies at `address`; neither shown nor kicked.
    func offerTransfer(
        _ type: UInt32, _ sector: UInt64, _ address: UInt64, _ count: Int, token: UInt64 = 0
    ) {
        let place = ram.allocate(32)
        ram.write(Bytes.of(type) + Bytes.of(UInt32(0)) + Bytes.of(sector), at: place)
        let isRead = type == BlockRequestType.in
        let data =
            isRead ? DriverBuffer.writable(address, count) : DriverBuffer.readable(address, count)
        #expect(
            queues[0].offer([.readable(place, 16), data, .writable(place + 16, 1)], token: token)
                != nil)
    }

    /// One such request from beginning to end: the bytes that the device says it wrote.
    func transfer(
        _ type: UInt32, _ sector: UInt64, _ address: UInt64, _ count: Int
    ) throws -> UInt32 {
        offerTransfer(type, sector, address, count)
        return try finishOne()
    }

    /// One chain of any form from beginning to end.
    func run(_ buffers: [DriverBuffer]) throws -> UInt32 {
        #expect(queues[0].offer(buffers, token: 0) != nil)
        return try finishOne()
    }

    private func finishOne() throws -> UInt32 {
        queues[0].submit()
        try queues[0].waitForUsed(milliseconds: deadline)
        return try #require(try queues[0].reap()).written
    }
}

extension DriverQueue {
    /// The head in the available ring at free-running `index`.
    func availableHead(_ index: UInt16) -> UInt16 {
        let (mapping, start, _) = ram.place(available)
        return mapping.load16(at: start + 4 + Int(index & (size - 1)) * 2)
    }

    // Each takes what was signalled; false where nothing was, or not for ten seconds.
    func takeKick() -> Bool { kick.drain() }
    func takeCall() -> Bool { call.drain() }
    func takeError() -> Bool { error.drain() }
    func waitForCall() -> Bool { call.wait(milliseconds: 10_000) }
    func waitForError() -> Bool { error.wait(milliseconds: 10_000) }
}

struct OfferedRead {
    let ram: GuestRAM
    let place: UInt64

    var status: UInt8 { ram.read(1, at: place + 16)[0] }
    var data: [UInt8] { ram.read(512, at: place + 32) }
}

extension Backend {
    /// Whether the next front-end gets a disk that works.
    func servesAnother() throws -> Bool { try driver().works() }

    /// A disk whose answers wait for the store's gate.
    convenience init(held store: HeldStore) throws {
        try self.init(
            HeldStore.Lane.self, store, BlockOptions(byteCount: store.byteCount, queueCount: 4))
    }

    /// A connection with everything negotiated and nothing shared.
    func negotiated(_ features: ProtocolFeatures = .max) throws -> FrontendConnection {
        let connection = try connect()
        try connection.negotiate(features)
        return connection
    }
}

/// Looks again and again until `condition` holds, for three seconds at most.
func soon(_ condition: () -> Bool) -> Bool {
    let end = Clock.nanoseconds() + 3_000_000_000
    while Clock.nanoseconds() < end {
        if condition() { return true }
        sched_yield()
    }
    return condition()
}
