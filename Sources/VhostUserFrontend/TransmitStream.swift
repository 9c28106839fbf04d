import Host
import VirtioSpec

/// Packets on their way out of the guest, many at once: a slot each, with header and packet of its
/// own in guest memory. Nothing is allocated once it is made.
public final class TransmitStream {
    public let queue: DriverQueue
    public let slots: Int
    public let headerBytes: Int
    /// Bytes of a packet that a slot has room for.
    public let packetBytes: Int
    private let part: RingPart
    /// Bytes from a slot's packet to the next one's.
    public let stride: Int
    /// The buffers of each slot's chain, `perChain` of them.
    private let buffers: [DriverBuffer]
    private let perChain: Int
    private let firstLength: Int

    /// The packet begins here in its slot, at a whole word; its header ends here.
    private static let packetStart = 16

    /// - Parameters:
    ///   - slots: packets in flight.
    ///   - packetBytes: of each, without header.
    ///   - headerBytes: 10 or 12, which are zero until something is written there.
    ///   - cuts: where header and packet, one behind the other, are cut into buffers: the lengths of
    ///     all but the last.
    public init(
        _ queue: DriverQueue, slots: Int, packetBytes: Int, headerBytes: Int, cuts: [Int] = []
    ) {
        precondition(slots > 0 && packetBytes > 0 && headerBytes <= Self.packetStart)
        let total = headerBytes + packetBytes
        let whole = cuts.reduce(0, +)
        precondition(whole < total && cuts.allSatisfy { $0 > 0 })
        self.queue = queue
        self.slots = slots
        self.packetBytes = packetBytes
        self.headerBytes = headerBytes
        let stride = (Self.packetStart + packetBytes + 63) / 64 * 64
        self.stride = stride
        let part = RingPart(queue.ram, bytes: slots * stride, alignment: 4096)
        self.part = part
        let lengths = cuts + [total - whole]
        perChain = lengths.count
        firstLength = lengths[0]
        buffers = (0..<slots).flatMap { slot in
            var address = part.address + UInt64(slot * stride + Self.packetStart - headerBytes)
            return lengths.map { length in
                defer { address += UInt64(length) }
                return DriverBuffer.readable(address, length)
            }
        }
    }

    /// Bytes of guest memory that a stream takes.
    public static func memoryBytes(slots: Int, packetBytes: Int) -> Int {
        slots * ((packetStart + packetBytes + 63) / 64 * 64) + 4096
    }

    /// Ring entries that a packet takes without an indirect table.
    public var entriesPerPacket: Int { perChain }

    /// The mapping that holds all packets.
    public var memory: Mapping { part.memory }

    /// Where in it a slot's packet begins: a multiple of 8.
    public func offset(_ slot: Int) -> Int {
        precondition(slot >= 0 && slot < slots)
        return part.start + slot * stride + Self.packetStart
    }

    /// Guest address of a slot's header.
    private func start(_ slot: Int) -> UInt64 {
        part.address + UInt64(slot * stride + Self.packetStart - headerBytes)
    }

    /// Writes a slot's packet, and its header. The rest of the slot stays what it is.
    public func fill(_ slot: Int, _ packet: [UInt8], header: PacketHeader = PacketHeader()) {
        precondition(packet.count <= packetBytes)
        memory.write(header.bytes(headerBytes).span, at: offset(slot) - headerBytes)
        memory.write(packet.span, at: offset(slot))
    }

    /// Offers a slot's packet; the queue's `submit` shows it to the device. False where the ring is
    /// full.
    /// - Parameter slot: must not be in flight.
    public func offer(_ slot: Int) -> Bool {
        precondition(slot >= 0 && slot < slots)
        let token = UInt64(slot)
        guard perChain > 1 else {
            let chain: InlineArray<1, DriverBuffer> = [.readable(start(slot), firstLength)]
            return queue.offer(chain.span, token: token) != nil
        }
        // Another owner of the array, for as long as its span is looked at.
        let buffers = buffers
        let chain = buffers.span.extracting(slot * perChain..<(slot + 1) * perChain)
        return queue.offer(chain, token: token) != nil
    }

    /// The slot of the next packet that the device has taken.
    public func reap() throws(FrontendError) -> Int? {
        guard let (token, _) = try queue.reap() else { return nil }
        guard token < UInt64(slots) else { throw .device("a chain that is not the stream's") }
        return Int(token)
    }
}
