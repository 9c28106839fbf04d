import Host
import VirtioSpec

/// How a request's bytes are cut into buffers. The readable bytes are the header and what is
/// written to the disk; the writable ones are what is read from it and the status byte.
public struct RequestLayout: Sendable {
    /// Lengths of the buffers; the last takes what is left. Nil for the usual cut: header or
    /// status, and data, a buffer each.
    public var readable: [Int]?
    public var writable: [Int]?
    /// Bytes left unused between two buffers, and before the first.
    public var gap: Int

    public init(readable: [Int]? = nil, writable: [Int]? = nil, gap: Int = 0) {
        self.readable = readable
        self.writable = writable
        self.gap = gap
    }
}

/// A range of sectors for DISCARD and WRITE_ZEROES.
public struct SectorRange: Sendable {
    public var sector: UInt64
    public var count: UInt32
    public var flags: UInt32

    public init(_ sector: UInt64, _ count: UInt32, flags: UInt32 = 0) {
        self.sector = sector
        self.count = count
        self.flags = flags
    }
}

/// What came back of a request.
public struct BlockAnswer: Equatable, Sendable {
    /// The status byte, as found in memory.
    public var status: UInt8
    /// What the device was to write before it.
    public var data: [UInt8]
    /// Bytes written, by the used ring.
    public var written: UInt32

    public init(status: UInt8, data: [UInt8], written: UInt32) {
        self.status = status
        self.data = data
        self.written = written
    }
}

/// Requests one at a time: offered, kicked, waited for by their call.
extension BlockDriver {
    /// A status that no device writes: what the byte holds before.
    public static let untouchedStatus: UInt8 = 0xee

    public func request(
        _ type: UInt32, sector: UInt64 = 0, write data: [UInt8] = [], read count: Int = 0,
        queue index: Int = 0, layout: RequestLayout = RequestLayout()
    ) throws(FrontendError) -> BlockAnswer {
        let header = Bytes.of(type) + Bytes.of(UInt32(0)) + Bytes.of(sector)
        let out = header + data
        let into = [UInt8](repeating: 0x5a, count: count) + [Self.untouchedStatus]
        var next = arena
        let readable = place(
            out, layout.readable ?? (data.isEmpty ? [16] : [16, data.count]), layout.gap, &next)
        let writable = place(
            into, layout.writable ?? (count == 0 ? [1] : [count, 1]), layout.gap, &next)
        let buffers =
            readable.map { DriverBuffer.readable($0.0, $0.1) }
            + writable.map { DriverBuffer.writable($0.0, $0.1) }
        let queue = queues[index]
        guard queue.offer(buffers, token: 0) != nil else { throw .device("the queue is full") }
        queue.submit()
        try queue.waitForUsed(milliseconds: deadline)
        guard let done = try queue.reap() else { throw .device("a call without a used chain") }
        var answer = writable.flatMap { ram.read($0.1, at: $0.0) }
        let status = answer.removeLast()
        return BlockAnswer(status: status, data: answer, written: done.written)
    }

    /// Writes bytes to guest memory in pieces; returns address and length of each.
    private func place(
        _ bytes: [UInt8], _ lengths: [Int], _ gap: Int, _ next: inout UInt64
    ) -> [(UInt64, Int)] {
        var pieces: [(UInt64, Int)] = []
        var done = 0
        for (index, wanted) in lengths.enumerated() {
            let left = bytes.count - done
            let length = index == lengths.count - 1 ? left : min(wanted, left)
            next += UInt64(gap)
            precondition(next + UInt64(length) <= arena + UInt64(options.arenaBytes))
            ram.write(Array(bytes[done..<done + length]), at: next)
            pieces.append((next, length))
            next += UInt64(length)
            done += length
        }
        return pieces
    }

    public func read(
        sector: UInt64, count: Int, queue: Int = 0, layout: RequestLayout = RequestLayout()
    ) throws(FrontendError) -> BlockAnswer {
        try request(BlockRequestType.in, sector: sector, read: count, queue: queue, layout: layout)
    }

    public func write(
        sector: UInt64, _ data: [UInt8], queue: Int = 0, layout: RequestLayout = RequestLayout()
    ) throws(FrontendError) -> BlockAnswer {
        try request(
            BlockRequestType.out, sector: sector, write: data, queue: queue, layout: layout)
    }

    public func flush(queue: Int = 0) throws(FrontendError) -> BlockAnswer {
        try request(BlockRequestType.flush, queue: queue)
    }

    public func identifier() throws(FrontendError) -> BlockAnswer {
        try request(BlockRequestType.getID, read: BlockLayout.identifierBytes)
    }

    public func discard(_ ranges: [SectorRange]) throws(FrontendError) -> BlockAnswer {
        try request(BlockRequestType.discard, write: Self.encode(ranges))
    }

    public func writeZeroes(_ ranges: [SectorRange]) throws(FrontendError) -> BlockAnswer {
        try request(BlockRequestType.writeZeroes, write: Self.encode(ranges))
    }

    public static func encode(_ ranges: [SectorRange]) -> [UInt8] {
        ranges.flatMap { Bytes.of($0.sector) + Bytes.of($0.count) + Bytes.of($0.flags) }
    }
}
