import Host
import VirtioSpec

/// Packets on their way into the guest, many at once: buffers of one size that are offered again and
/// again. Nothing is allocated once it is made.
public final class ReceiveStream {
    /// A packet that was received. Its buffers are the stream's until `giveBack`.
    public struct Packet: Equatable, Sendable {
        /// Of all buffers, without the header.
        public let packetBytes: Int
        public let bufferCount: Int
        /// Where it begins in `memory`, behind its header: a multiple of 8.
        public let offset: Int
        /// Bytes of it that lie there; what follows is in other buffers.
        public let firstBytes: Int

        public init(packetBytes: Int, bufferCount: Int, offset: Int, firstBytes: Int) {
            self.packetBytes = packetBytes
            self.bufferCount = bufferCount
            self.offset = offset
            self.firstBytes = firstBytes
        }
    }

    public let queue: DriverQueue
    public let slots: Int
    public let headerBytes: Int
    /// Header included.
    public let bytesPerBuffer: Int
    public let isMergeable: Bool
    private let part: RingPart
    private let stride: Int
    /// Slots that are not offered, the first `freeCount` of them.
    private let free: Table<UInt16>
    private var freeCount: Int
    /// Slots and bytes of the packet that `next` has found last.
    private let pieces: Table<UInt16>
    private let pieceBytes: Table<UInt32>
    private var pieceCount = 0

    /// The packet begins here in its slot, at a whole word; its header ends here.
    private static let packetStart = 16

    /// - Parameters:
    ///   - slots: buffers, at most as many as the ring has entries.
    ///   - bytesPerBuffer: with the header, which is at the beginning of a packet's first buffer.
    ///   - headerBytes: 10 or 12.
    ///   - isMergeable: headers tell how many buffers a packet has.
    public init(
        _ queue: DriverQueue, slots: Int, bytesPerBuffer: Int, headerBytes: Int, isMergeable: Bool
    ) {
        precondition(slots > 0 && slots <= Int(queue.size) && bytesPerBuffer > headerBytes)
        precondition(headerBytes <= Self.packetStart)
        self.queue = queue
        self.slots = slots
        self.headerBytes = headerBytes
        self.bytesPerBuffer = bytesPerBuffer
        self.isMergeable = isMergeable
        stride = (Self.packetStart + bytesPerBuffer - headerBytes + 63) / 64 * 64
        part = RingPart(queue.ram, bytes: slots * stride, alignment: 4096)
        free = Table(count: slots) { UInt16($0) }
        freeCount = slots
        pieces = Table(count: slots) { _ in 0 }
        pieceBytes = Table(count: slots) { _ in 0 }
    }

    /// Bytes of guest memory that a stream takes.
    public static func memoryBytes(slots: Int, bytesPerBuffer: Int) -> Int {
        slots * ((packetStart + bytesPerBuffer + 63) / 64 * 64) + 4096
    }

    public var memory: Mapping { part.memory }

    private func offset(_ slot: Int) -> Int { part.start + slot * stride + Self.packetStart }

    /// Offers every buffer that is not; the queue's `submit` shows them to the device. Returns how
    /// many they were.
    @discardableResult
    public func fill() throws(FrontendError) -> Int {
        let count = freeCount
        while freeCount > 0 {
            let slot = Int(free[freeCount - 1])
            let address = part.address + UInt64(slot * stride + Self.packetStart - headerBytes)
            let chain: InlineArray<1, DriverBuffer> = [.writable(address, bytesPerBuffer)]
            guard queue.offer(chain.span, token: UInt64(slot)) != nil else {
                throw .device("the ring is full with \(queue.inFlight) buffers")
            }
            freeCount -= 1
        }
        return count
    }

    /// The next packet; nil where there is none. The one before is to be given back first.
    public func next() throws(FrontendError) -> Packet? {
        precondition(pieceCount == 0, "a packet that was not given back")
        guard let written = try nextBuffer() else { return nil }
        guard written >= headerBytes else { throw .device("a packet of \(written) bytes") }
        let start = offset(Int(pieces[0]))
        var total = written
        if isMergeable {
            let count = Int(memory.load16(at: start - headerBytes + PacketHeader.bufferCountOffset))
            guard count > 0 else { throw .device("a packet in no buffer") }
            while pieceCount < count {
                guard let more = try nextBuffer() else {
                    throw .device("buffer \(pieceCount + 1) of \(count) is missing")
                }
                total += more
            }
        }
        return Packet(
            packetBytes: total - headerBytes, bufferCount: pieceCount, offset: start,
            firstBytes: written - headerBytes)
    }

    /// Takes one buffer back, as a piece of the packet. Returns the bytes written.
    @inline(__always)
    private func nextBuffer() throws(FrontendError) -> Int? {
        guard let (token, written) = try queue.reap() else { return nil }
        guard token < UInt64(slots), pieceCount < slots else {
            throw .device("a buffer that is not the stream's")
        }
        pieces.set(pieceCount, UInt16(token))
        pieceBytes.set(pieceCount, written)
        pieceCount += 1
        return Int(written)
    }

    /// The bytes of the packet that `next` has found last, header first. Allocates.
    public func bytes() -> [UInt8] {
        (0..<pieceCount).flatMap { place in
            memory.bytes(
                at: offset(Int(pieces[place])) - headerBytes, count: Int(pieceBytes[place]))
        }
    }

    /// Gives the packet's buffers back to the stream; `fill` offers them again.
    public func giveBack() {
        for place in 0..<pieceCount { free.set(freeCount + place, pieces[place]) }
        freeCount += pieceCount
        pieceCount = 0
    }
}
