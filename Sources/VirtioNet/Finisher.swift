import Host
import VirtioSpec

/// Makes whole what a receiver does not take unfinished: puts in the checksum, cuts into segments
/// (virtio 1.3 §5.1.6.2, §5.1.6.4). It works in memory of its own, which no guest sees, and it
/// allocates nothing after `init`.
///
/// A packet that it can't make sense of is refused before any of it has been given out.
public struct Finisher: ~Copyable, Sendable {
    /// The caller puts a packet here, from 0 on, without its virtio header; what `next` gives out
    /// lies here too, and is good until `next` or `begin` is called again.
    public let memory: Mapping

    /// A packet to hand over: `count` bytes of `memory` from `offset` on.
    public struct Piece: Equatable, Sendable {
        public var header: NetHeader
        public var offset: Int
        public var count: Int
    }

    private enum Work: Sendable {
        case nothing
        case whole(Piece)
        case segments
    }

    private var work = Work.nothing
    private var cut = Segmentation()

    /// The largest headers that are repeated before each segment.
    static let mostHeaderBytes = 512
    /// Where they are kept: after the packet.
    static let headersPlace = (NetLayout.largestPacket + 15) / 16 * 16

    public init() throws(SystemError) {
        memory = try .anonymous(count: Self.headersPlace + Self.mostHeaderBytes)
    }

    /// Begins with the packet of `count` bytes in `memory`, for a receiver that takes `receiver`
    /// unfinished. Returns false where the packet is malformed: then `next` gives out nothing of it.
    public mutating func begin(
        _ header: NetHeader, count: Int, for receiver: NetOffloads
    ) -> Bool {
        work = .nothing
        guard header.isValid(packetBytes: count, offloads: .all) else { return false }
        if receiver.covers(header) {
            work = .whole(Piece(header: header.passedOn, offset: 0, count: count))
            return true
        }
        guard header.segmentation == NetSegmentation.none else {
            let leavesChecksum = receiver.contains(.checksum)
            guard
                let cut = Segmentation(
                    memory, count: count, header, leavesChecksum: leavesChecksum)
            else { return false }
            self.cut = cut
            work = .segments
            return true
        }
        // What is at the checksum's place is the sum of what the checksum covers beside the packet's
        // own bytes, so it belongs to the sum.
        let start = Int(header.checksumStart)
        let sum = memory.internetSum(at: start, count: count - start)
        memory.put(sum.asChecksum, at: start + Int(header.checksumOffset))
        work = .whole(Piece(header: .plain, offset: 0, count: count))
        return true
    }

    /// The next packet to hand over, or nil where there is no more.
    public mutating func next() -> Piece? {
        switch work {
        case .nothing: return nil
        case .whole(let piece):
            work = .nothing
            return piece
        case .segments:
            var cut = cut
            let piece = cut.next(in: memory)
            if cut.isDone { work = .nothing }
            self.cut = cut
            return piece
        }
    }
}

extension UInt16 {
    /// The checksum over what has this sum. Zero would say, in UDP, that there is none, and its
    /// other form is as right everywhere (RFC 768).
    @inline(__always)
    var asChecksum: UInt16 { self == 0xffff ? 0xffff : ~self }

    /// The one's complement sum.
    @inline(__always)
    func onesComplementAdding(_ other: UInt16) -> UInt16 {
        let (sum, carry) = addingReportingOverflow(other)
        return carry ? sum &+ 1 : sum
    }
}
