import GuestMemory
import Host
import VirtioNet
import VirtioSpec
import Virtqueue

/// Packets that do not go the short way: those that need several chains, or work before they may be
/// handed over.
extension DeviceQueue where Self: ~Copyable {
    /// Puts the packet in `scratch.source` into the ring, in as many chains as it takes and finished
    /// as far as the guest wants it; or drops it whole.
    @inline(never)
    mutating func putOtherwise(
        _ header: NetHeader, _ offset: Int, _ count: Int, from gives: NetOffloads,
        _ receiver: inout NetEngine, _ memory: inout GuestMemory, _ scratch: inout NetScratch
    ) throws(QueueViolation) {
        guard header.isValid(packetBytes: count, offloads: gives) else {
            return receiver.counters.malformed &+= 1
        }
        let takes = receiver.net.guestTakes
        guard takes.covers(header) else {
            return try putFinished(header, offset, count, takes, &receiver, &memory, &scratch)
        }
        let isPut = try putMerged(
            header.passedOn, scratch.source.readable, offset, count, receiver.shape,
            &receiver.counters, &memory, &scratch.target, &scratch.more, &scratch.held,
            &scratch.heldBytes)
        receiver.note(isPut, scratch.source.readable, offset, count)
    }

    private mutating func putFinished(
        _ header: NetHeader, _ offset: Int, _ count: Int, _ takes: NetOffloads,
        _ receiver: inout NetEngine, _ memory: inout GuestMemory, _ scratch: inout NetScratch
    ) throws(QueueViolation) {
        scratch.source.readable.drain(
            at: offset, into: scratch.finisher.memory, at: 0, count: count)
        guard scratch.finisher.begin(header, count: count, for: takes) else {
            return receiver.counters.malformed &+= 1
        }
        while let piece = scratch.finisher.next() {
            scratch.finished.removeAll()
            _ = scratch.finished.append(
                scratch.finisher.memory, at: piece.offset, count: piece.count)
            let isPut = try putMerged(
                piece.header, scratch.finished, 0, piece.count, receiver.shape,
                &receiver.counters, &memory, &scratch.target, &scratch.more, &scratch.held,
                &scratch.heldBytes)
            receiver.note(isPut, scratch.finished, 0, piece.count)
        }
    }

    /// Puts a packet into as many chains as it takes. Returns false, and leaves the ring as it was,
    /// where there are not enough.
    mutating func putMerged(
        _ header: NetHeader, _ source: borrowing IOVectors, _ offset: Int, _ count: Int,
        _ shape: PacketShape, _ counters: inout QueueCounters, _ memory: inout GuestMemory,
        _ first: inout ChainBuffers,
        _ more: inout ChainBuffers, _ held: inout Table<Chain?>, _ sizes: inout Table<UInt32>
    ) throws(QueueViolation) -> Bool {
        guard let chain = try next(&memory, &first) else { return false }
        held[0] = .some(chain)
        let headerBytes = shape.headerBytes
        guard first.writable.byteCount >= headerBytes else {
            // Not even a header: the guest gets it back, or it would be in the way for ever.
            if let chain = held[0].take() { complete(chain, written: 0) }
            counters.malformed &+= 1
            return false
        }
        var done = min(count, first.writable.byteCount - headerBytes)
        first.writable.copy(at: headerBytes, from: source, at: offset, count: done)
        sizes[0] = UInt32(truncatingIfNeeded: done + headerBytes)
        var chains = 1
        while done < count {
            guard shape.isMergeable, chains < held.count,
                let chain = try nextOrPutBack(&memory, &more, &held, chains)
            else {
                putBack(&held, chains)
                return false
            }
            let bytes = min(count - done, more.writable.byteCount)
            more.writable.copy(at: 0, from: source, at: offset + done, count: bytes)
            done += bytes
            sizes[chains] = UInt32(truncatingIfNeeded: bytes)
            held[chains] = .some(chain)
            chains += 1
        }
        var header = header
        header.bufferCount = UInt16(truncatingIfNeeded: chains)
        let (low, high) = header.words
        first.writable.setHeader(low, high, headerBytes)
        for index in 0..<chains {
            if let chain = held[index].take() { complete(chain, written: sizes[index]) }
        }
        counters.requests &+= 1
        counters.bytesWritten &+= UInt64(count)
        return true
    }

    /// The next chain; a violation puts the held ones back before it goes on.
    private mutating func nextOrPutBack(
        _ memory: inout GuestMemory, _ buffers: inout ChainBuffers, _ held: inout Table<Chain?>,
        _ count: Int
    ) throws(QueueViolation) -> Chain? {
        do throws(QueueViolation) { return try next(&memory, &buffers) } catch {
            putBack(&held, count)
            throw error
        }
    }

    /// Puts `count` held chains back, the latest first.
    mutating func putBack(_ held: inout Table<Chain?>, from first: Int = 0, _ count: Int) {
        for index in stride(from: count - 1, through: first, by: -1) {
            if let chain = held[index].take() { putBack(chain) }
        }
    }
}

extension NetEngine {
    /// A packet of `count` bytes at `offset` of `source` was put into this queue's ring; or dropped.
    mutating func note(
        _ isPut: Bool, _ source: borrowing IOVectors, _ offset: Int, _ count: Int
    ) {
        guard isPut else { return counters.dropped &+= 1 }
        capture?.record(source, from: offset, upTo: offset + count, .intoGuest, at: port)
    }
}
