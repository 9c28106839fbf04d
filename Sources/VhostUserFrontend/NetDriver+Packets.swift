import Host
import VirtioSpec

/// A packet as it was received.
public struct ReceivedPacket: Equatable, Sendable {
    public var header: PacketHeader
    public var packet: [UInt8]
    /// Bytes of all its buffers, by the used ring.
    public var written: Int

    public init(header: PacketHeader, packet: [UInt8], written: Int) {
        self.header = header
        self.packet = packet
        self.written = written
    }
}

/// Packets and commands one at a time, for tests: nothing here is fast.
extension NetDriver {
    /// Writes bytes to fresh guest memory, a buffer for each length.
    /// - Parameter cuts: lengths of the buffers; one more takes what is left, if anything is.
    public func place(_ bytes: [UInt8], cuts: [Int]) -> [DriverBuffer] {
        var buffers: [DriverBuffer] = []
        var done = 0
        for cut in cuts + [Int.max] where done < bytes.count {
            let length = min(cut, bytes.count - done)
            let address = ram.allocate(length)
            ram.write(Array(bytes[done..<done + length]), at: address)
            buffers.append(.readable(address, length))
            done += length
        }
        return buffers
    }

    /// Offers a packet and kicks; `waitForSent` sees it taken.
    /// - Parameter cuts: where header and packet, one behind the other, are cut into buffers; nil for
    ///   a buffer each.
    public func send(
        _ packet: [UInt8], header: PacketHeader = PacketHeader(), pair: Int = 0,
        cuts: [Int]? = nil
    ) throws(FrontendError) {
        let buffers = place(header.bytes(headerBytes) + packet, cuts: cuts ?? [headerBytes])
        let queue = transmitQueue(pair)
        guard queue.offer(buffers, token: 0) != nil else { throw .device("the queue is full") }
        queue.submit()
    }

    /// Waits until the device has taken every packet.
    public func waitForSent(pair: Int = 0) throws(FrontendError) {
        let queue = transmitQueue(pair)
        while queue.inFlight > 0 {
            try queue.waitForUsed(milliseconds: deadline)
            while try queue.reap() != nil {}
        }
    }

    /// Offers `count` buffers for packets to come, of `bytes` each, and kicks.
    /// - Parameter cuts: the lengths of each chain's descriptors, instead of one of `bytes`.
    public func offerBuffers(
        _ count: Int, bytes: Int = 2048, pair: Int = 0, cuts: [Int] = []
    ) throws(FrontendError) {
        let queue = receiveQueue(pair)
        for _ in 0..<count {
            let lengths = cuts.isEmpty ? [bytes] : cuts
            let buffers = lengths.map { DriverBuffer.writable(ram.allocate($0), $0) }
            let token = UInt64(received.count)
            received.append(buffers)
            guard queue.offer(buffers, token: token) != nil else {
                throw .device("the queue is full")
            }
        }
        queue.submit()
    }

    /// Waits for the next packet, all of its buffers. They are not offered again.
    public func receive(pair: Int = 0) throws(FrontendError) -> ReceivedPacket {
        let queue = receiveQueue(pair)
        try queue.waitForUsed(milliseconds: deadline)
        guard var bytes = try receiveBuffer(queue) else {
            throw .device("a call without a used chain")
        }
        let header = PacketHeader(Array(bytes.prefix(headerBytes)))
        guard bytes.count >= headerBytes else { throw .device("a packet of \(bytes.count) bytes") }
        if isMergeable {
            guard header.bufferCount > 0 else { throw .device("a packet in no buffer") }
            for place in 1..<max(1, Int(header.bufferCount)) {
                guard let more = try receiveBuffer(queue) else {
                    throw .device("buffer \(place) of \(header.bufferCount) is missing")
                }
                bytes += more
            }
        }
        return ReceivedPacket(
            header: header, packet: Array(bytes.dropFirst(headerBytes)), written: bytes.count)
    }

    /// What was written into the next used buffer.
    private func receiveBuffer(_ queue: DriverQueue) throws(FrontendError) -> [UInt8]? {
        guard let (token, written) = try queue.reap() else { return nil }
        guard token < received.count else { throw .device("a buffer that nobody offered") }
        let bytes = received[Int(token)].flatMap { ram.read(Int($0.length), at: $0.address) }
        return Array(bytes.prefix(Int(written)))
    }

    /// Sends a control command and returns the device's answer (§5.1.6.5).
    /// - Parameter cuts: where class, command and data are cut into buffers.
    public func control(
        _ class: UInt8, _ command: UInt8, _ data: [UInt8] = [], cuts: [Int] = [2]
    ) throws(FrontendError) -> UInt8 {
        try controlAnswer(at: offerControl(`class`, command, data, cuts: cuts))
    }

    /// Offers a control command and kicks. Returns the guest address of the answer to come.
    public func offerControl(
        _ class: UInt8, _ command: UInt8, _ data: [UInt8] = [], cuts: [Int] = [2]
    ) throws(FrontendError) -> UInt64 {
        guard controlIndex != nil, let queue = queues.last else {
            throw .notOffered(.netControlQueue)
        }
        let answer = ram.allocate(1)
        ram.fill(Self.noAnswer, count: 1, at: answer)
        let buffers = place([`class`, command] + data, cuts: cuts) + [.writable(answer, 1)]
        guard queue.offer(buffers, token: 0) != nil else { throw .device("the queue is full") }
        queue.submit()
        return answer
    }

    /// Waits for the answer to a command.
    public func controlAnswer(at address: UInt64) throws(FrontendError) -> UInt8 {
        guard let queue = queues.last else { throw .notOffered(.netControlQueue) }
        try queue.waitForUsed(milliseconds: deadline)
        guard try queue.reap() != nil else { throw .device("a call without a used chain") }
        return ram.read(1, at: address)[0]
    }

    /// What the answer's byte holds before: no device writes that.
    public static let noAnswer: UInt8 = 0xee
}
