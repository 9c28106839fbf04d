import Host
import VirtioSpec

/// A packet on its way to become segments, each behind headers of its own.
///
/// The payload stays where it is. Each segment's headers are put right before its piece of it, over
/// what went out with the segments before; so the packet's own headers are kept aside.
struct Segmentation: Sendable {
    private var headers: PacketHeaders?
    /// What goes with each segment.
    private var header = NetHeader.plain
    private var segmentBytes = 1
    /// Where the next segment's payload begins.
    private var position = 0
    private var index: UInt32 = 0
    /// The sum that stands at the checksum's place, less the packet's length: the addresses and the
    /// protocol of the pseudo-header.
    private var pseudoSum: UInt16 = 0

    private(set) var isDone = true

    /// Shorter segments are asked for by nobody who means it: they would make tens of thousands of
    /// packets out of one.
    static let leastTCPSegment = 8
    /// Linux cuts into no more either.
    static let mostDatagrams = 128

    init() {}

    /// Makes ready to cut the packet of `count` bytes in `memory`. Nil where it can't be cut.
    init?(
        _ memory: borrowing Mapping, count: Int, _ header: NetHeader, leavesChecksum: Bool
    ) {
        guard let headers = PacketHeaders(memory, count: count, header),
            headers.payload <= Finisher.mostHeaderBytes
        else { return nil }
        segmentBytes = Int(header.segmentBytes)
        let bytes = headers.end - headers.payload
        let isOne = bytes <= segmentBytes
        if headers.isTCP {
            let flags = memory.load8(at: headers.transport + TransportLayout.tcpFlags)
            // A connection begins or breaks once.
            guard isOne || flags & (TCPFlag.syn | TCPFlag.rst) == 0,
                isOne || segmentBytes >= Self.leastTCPSegment
            else { return nil }
        } else {
            guard bytes <= segmentBytes * Self.mostDatagrams else { return nil }
        }
        let length = UInt16(truncatingIfNeeded: headers.end - headers.transport)
        pseudoSum = memory.bigEndian16(
            at: headers.transport + Int(header.checksumOffset)
        ).onesComplementAdding(~length)
        memory.move(from: 0, to: Finisher.headersPlace, count: headers.payload)
        if leavesChecksum {
            self.header.flags = NetHeaderFlag.needsChecksum
            self.header.checksumStart = header.checksumStart
            self.header.checksumOffset = header.checksumOffset
        }
        position = headers.payload
        isDone = false
        self.headers = headers
    }

    /// Puts the next segment together.
    mutating func next(in memory: Mapping) -> Finisher.Piece? {
        guard let headers, !isDone else { return nil }
        let bytes = min(segmentBytes, headers.end - position)
        isDone = position + bytes == headers.end
        let start = position - headers.payload
        memory.move(from: Finisher.headersPlace, to: start, count: headers.payload)
        if headers.isIPv4 {
            finishIPv4(memory, start + headers.network, headers, bytes)
        } else {
            let length = headers.payload - headers.network - IPv6Layout.bytes + bytes
            memory.put(
                UInt16(truncatingIfNeeded: length),
                at: start + headers.network + IPv6Layout.payloadLength)
        }
        let transport = start + headers.transport
        let length = UInt16(truncatingIfNeeded: headers.payload - headers.transport + bytes)
        if headers.isTCP {
            finishTCP(memory, transport)
        } else {
            memory.put(length, at: transport + TransportLayout.udpLength)
        }
        let place =
            transport
            + (headers.isTCP ? TransportLayout.tcpChecksum : TransportLayout.udpChecksum)
        memory.put(pseudoSum.onesComplementAdding(length), at: place)
        if header.flags & NetHeaderFlag.needsChecksum == 0 {
            let sum = memory.internetSum(at: transport, count: Int(length))
            memory.put(sum.asChecksum, at: place)
        }
        position += bytes
        index &+= 1
        return Finisher.Piece(header: header, offset: start, count: headers.payload + bytes)
    }

    private func finishIPv4(
        _ memory: Mapping, _ network: Int, _ headers: PacketHeaders, _ bytes: Int
    ) {
        let length = headers.payload - headers.network + bytes
        memory.put(UInt16(truncatingIfNeeded: length), at: network + IPv4Layout.totalLength)
        let first = memory.bigEndian16(at: network + IPv4Layout.identification)
        memory.put(
            first &+ UInt16(truncatingIfNeeded: index), at: network + IPv4Layout.identification)
        memory.put(UInt16(0), at: network + IPv4Layout.checksum)
        let sum = memory.internetSum(at: network, count: headers.transport - headers.network)
        memory.put(~sum, at: network + IPv4Layout.checksum)
    }

    private func finishTCP(_ memory: Mapping, _ transport: Int) {
        // Bytes of the payload before this segment's.
        let before = index &* UInt32(segmentBytes)
        let sequence = transport + TransportLayout.tcpSequence
        memory.put(memory.bigEndian32(at: sequence) &+ before, at: sequence)
        var flags = memory.load8(at: transport + TransportLayout.tcpFlags)
        // The end, and the wish to be handed on, come with the last byte; that the window was
        // reduced is said once (RFC 3168 §6.1.2).
        if !isDone { flags &= ~(TCPFlag.fin | TCPFlag.psh) }
        if before > 0 { flags &= ~TCPFlag.cwr }
        if flags & TCPFlag.urg != 0, before > 0 {
            // The urgent data's end is counted from the segment's first byte.
            let urgent = UInt32(memory.bigEndian16(at: transport + TransportLayout.tcpUrgent))
            let left = urgent > before ? urgent - before : 0
            if left == 0 { flags &= ~TCPFlag.urg }
            memory.put(
                UInt16(truncatingIfNeeded: left), at: transport + TransportLayout.tcpUrgent)
        }
        memory.store8(flags, at: transport + TransportLayout.tcpFlags)
    }
}
