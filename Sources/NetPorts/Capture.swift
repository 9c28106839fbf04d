import Host

/// A file of packets in pcapng, for Wireshark and tcpdump: Ethernet interfaces, times in nanoseconds,
/// and for every packet which way it went.
///
/// Its blocks are whole at any time, also when the disk is full. Any thread may record; they take
/// turns, and wait for the file.
public final class Capture: Sendable {
    /// As the guest sees it; the numbers are those of pcapng's epb_flags.
    public enum Direction: UInt32, Sendable {
        case intoGuest = 1
        case outOfGuest = 2
    }

    /// Why nothing more is recorded.
    public enum Stop: Equatable, Sendable {
        /// The next packet would have made the file larger than it may be.
        case limit
        case failed(SystemError)
    }

    /// What has been recorded, and what was not.
    public struct Totals: Equatable, Sendable {
        public var bytes: UInt64 = 0
        public var packets: UInt64 = 0
        public var missed: UInt64 = 0
        public var stop: Stop?
    }

    public let path: String
    private let limit: UInt64
    private let file: OwnedFD
    private let state: Locked<Totals>

    /// Makes the file, or empties it.
    ///
    /// - Parameters:
    ///   - limit: bytes it may have at most; what has no room for one packet records none.
    ///   - interfaces: what the interfaces are called; nil for one without a name.
    public init(
        path: String, limit: UInt64, interfaces: [String]? = nil
    ) throws(PortFault) {
        let file = try Self.open(path)
        let start = CaptureBlock.start(interfaces ?? [""])
        var totals = Totals()
        if UInt64(start.count * 4) > limit {
            totals.stop = .limit
        } else {
            let put = File.write(
                file, at: 0, start.span, IOVectors(capacity: 0), 0..<0, start.span,
                skipping: start.count * 4)
            guard put == start.count * 4 else {
                let code = put < 0 ? Int32(-put) : SystemErrorCode.noSpace
                throw .capture(path, SystemError("pwrite", code))
            }
            totals.bytes = UInt64(put)
        }
        self.path = path
        self.limit = limit
        self.file = file
        state = Locked(totals)
    }

    private static func open(_ path: String) throws(PortFault) -> OwnedFD {
        let file = try system(path) { () throws(SystemError) in
            try File.open(path, [.writable, .create])
        }
        let facts = try system(path) { () throws(SystemError) in try file.facts() }
        guard facts.kind == .regular else { throw .notAFile(path) }
        let isOurs = try system(path) { () throws(SystemError) in
            try FileLock.acquire(file, exclusive: true)
        }
        guard isOurs else { throw .captureInUse(path, FileLock.holder(of: file)) }
        try system(path) { () throws(SystemError) in try File.resize(file, to: 0) }
        return file
    }

    private static func system<R: ~Copyable>(
        _ path: String, _ body: () throws(SystemError) -> R
    ) throws(PortFault) -> R {
        do throws(SystemError) { return try body() } catch { throw .capture(path, error) }
    }

    public var totals: Totals { state.withLock { $0 } }

    /// Records the packet that begins at `offset` of the buffers, after its header, and ends after
    /// `end` bytes of theirs, or with them.
    /// - Parameter interface: which of them the packet crosses.
    public func record(
        _ buffers: borrowing IOVectors, from offset: Int, upTo end: Int? = nil,
        _ direction: Direction, at interface: Int = 0
    ) {
        let end = min(end ?? buffers.byteCount, buffers.byteCount)
        guard offset >= 0, offset <= end else { return }
        state.withLock { totals in
            let block = CaptureBlock(
                packetBytes: end - offset, direction, interface, Clock.sinceEpoch())
            if totals.stop == nil, UInt64(block.byteCount) > limit - totals.bytes {
                totals.stop = .limit
            }
            guard totals.stop == nil else {
                totals.missed += 1
                return
            }
            let put = File.write(
                file, at: totals.bytes, block.head.span, buffers, offset..<end,
                block.tail.span, skipping: block.tailStart)
            note(put, block, &totals)
        }
    }

    private func note(_ put: Int, _ block: CaptureBlock, _ totals: inout Totals) {
        if put == block.byteCount {
            totals.bytes += UInt64(put)
            totals.packets += 1
            return
        }
        totals.missed += 1
        let code = put < 0 ? Int32(-put) : whyShort(block, totals.bytes)
        do throws(SystemError) {
            // Half a block would make the rest unreadable.
            try File.resize(file, to: totals.bytes)
            // Memory that the guest has lost, or too many buffers: this packet's trouble alone.
            if code != SystemErrorCode.badAddress, code != SystemErrorCode.tooLong {
                throw SystemError("pwrite", code)
            }
        } catch { totals.stop = .failed(error) }
    }

    /// What a write that came to a halt half-way won't say: whether it was for want of room, or
    /// because the packet's memory ended there. Our own memory does not end.
    private func whyShort(_ block: CaptureBlock, _ start: UInt64) -> Int32 {
        let tail = block.tail.span
        let none = IOVectors(capacity: 0)
        let place = start + UInt64(block.byteCount - tail.count * 4)
        let put = File.write(file, at: place, tail, none, 0..<0, tail, skipping: tail.count * 4)
        if put == tail.count * 4 { return SystemErrorCode.badAddress }
        return put < 0 ? Int32(-put) : SystemErrorCode.noSpace
    }
}

/// The words of pcapng, little-endian: what begins a file, and what stands around a packet.
private struct CaptureBlock {
    let byteCount: Int
    let head: InlineArray<7, UInt32>
    /// The padding, the option that says which way, the end of options, and the length again.
    let tail: InlineArray<5, UInt32>
    /// Where of `tail`: there is as much padding as is left of its first word.
    let tailStart: Int

    /// - Parameter time: nanoseconds since 1970.
    init(
        packetBytes: Int, _ direction: Capture.Direction, _ interface: Int, _ time: UInt64
    ) {
        let padding = -packetBytes & 3
        tailStart = 4 - padding
        byteCount = 7 * 4 + packetBytes + padding + 4 * 4
        let total = UInt32(clamping: byteCount).littleEndian
        let bytes = UInt32(clamping: packetBytes).littleEndian
        head = [
            UInt32(6).littleEndian, total, UInt32(truncatingIfNeeded: interface).littleEndian,
            UInt32(truncatingIfNeeded: time >> 32).littleEndian,
            UInt32(truncatingIfNeeded: time).littleEndian, bytes, bytes,
        ]
        tail = [0, Self.option(2, 4), direction.rawValue.littleEndian, 0, total]
    }

    private static func option(_ code: UInt32, _ bytes: UInt32) -> UInt32 {
        (code | bytes << 16).littleEndian
    }

    /// The section's header, with the program's name, and the interfaces.
    static func start(_ interfaces: [String]) -> [UInt32] {
        let section: [UInt32] = [
            0x0a0d_0d0a, 44, 0x1a2b_3c4d, 1, .max, .max, 4 | 7 << 16, 0x676e_6972, 0x0079_6177, 0,
            44,
        ]
        return (section + interfaces.flatMap { interface($0) }).map(\.littleEndian)
    }

    /// Ethernet; packets of 256 KiB at most; its name, if it has one; 10^-9 seconds.
    private static func interface(_ name: String) -> [UInt32] {
        var text = Array(name.utf8)
        var options: [UInt32] = text.isEmpty ? [] : [2 | UInt32(text.count) << 16]
        text += [UInt8](repeating: 0, count: -text.count & 3)
        for place in stride(from: 0, to: text.count, by: 4) {
            options.append(text[place..<place + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) })
        }
        options += [9 | 1 << 16, 9, 0]
        let bytes = UInt32(options.count + 5) * 4
        return [1, bytes, 1, 256 << 10] + options + [bytes]
    }
}
