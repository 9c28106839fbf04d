import Host
import HostNetwork
import NetPorts
import Randomness
import Synchronization
import Testing

/// passt's end of the socket, byte by byte.
struct PasstEnd: ~Copyable {
    private var socket: UnixSocket
    private(set) var received: [UInt8] = []

    init(_ socket: consuming UnixSocket) { self.socket = socket }

    /// What a frame is on the wire.
    static func wire(_ frame: [UInt8], announcing length: UInt32? = nil) -> [UInt8] {
        let length = length ?? UInt32(frame.count)
        return (0..<4).map { UInt8(truncatingIfNeeded: length >> (24 - 8 * $0)) } + frame
    }

    /// Takes up to `count` bytes; false at the stream's end.
    @discardableResult
    mutating func take(_ count: Int) throws -> Bool {
        var bytes = [UInt8](repeating: 0, count: count)
        var descriptors = ReceivedFDs()
        var span = bytes.mutableSpan
        guard let got = try socket.receive(into: &span, descriptors: &descriptors) else {
            return true
        }
        received += bytes[..<got]
        return got > 0
    }

    /// Waits for something to take; false where nothing comes.
    func waits() -> Bool { HostNetwork.waits(for: socket.descriptor.raw) }

    /// Sends what fits; returns how many bytes that was.
    mutating func give(_ bytes: ArraySlice<UInt8>) throws -> Int {
        try socket.send(Array(bytes).span) ?? 0
    }
}

/// passt's end, read on a thread of its own.
private final class PasstReader: Sendable {
    private let end: Mutex<PasstEnd>

    init(_ socket: consuming UnixSocket) { end = Mutex(PasstEnd(socket)) }

    func readToEnd() { end.withLock { end in while end.waits(), (try? end.take(9000)) == true {} } }

    var received: [UInt8] { end.withLock { $0.received } }
}

@Suite("The link to passt")
struct PasstLinkTests {
    /// A link whose socket takes little at a time, and its other end.
    private func link(_ body: (inout PasstLink, inout PasstEnd) throws -> Void) throws {
        let pair = try UnixSocket.pair()
        pair.one.descriptor.keepLittle()
        pair.other.descriptor.keepLittle()
        var ends = Both(
            link: try PasstLink(adopting: pair.one, path: "/nowhere"), far: PasstEnd(pair.other))
        try body(&ends.link, &ends.far)
    }

    private struct Both: ~Copyable {
        var link: PasstLink
        var far: PasstEnd
    }

    private func frame(_ random: inout Seeded) -> [UInt8] {
        let most = [60, 1514, 9014, 65_535].randomElement(using: &random) ?? 60
        return random.bytes(Int.random(in: 14...most, using: &random))
    }

    @Test(
        "Frames out of the guest arrive whole and in order, however the stream is cut",
        arguments: 0..<6)
    func out(run: Int) throws {
        var random = Seeded(run)
        let note = random.note
        let buffers = try Buffers()
        try link { link, far in
            var expected: [UInt8] = []
            for _ in 0..<100 {
                let frame = frame(&random)
                let header = Int.random(in: 0...12, using: &random)
                let most = max(1 + frame.count / 200, Int.random(in: 1...20_000, using: &random))
                let pieces = buffers.pieces(header + frame.count, most: most, &random)
                buffers.put(random.bytes(header) + frame, pieces)
                while link.send(buffers.list(pieces), from: header) == .full {
                    try far.take(Int.random(in: 1...30_000, using: &random))
                    if Bool.random(using: &random) { _ = link.flush() }
                }
                expected += PasstEnd.wire(frame)
                // The guest has its buffers back now, and may write into them.
                buffers.memory.fill(0xee, at: 0, count: buffers.memory.count)
                try far.take(Int.random(in: 1...70_000, using: &random))
            }
            while link.flush() == .full { try far.take(1 << 20) }
            while far.received.count < expected.count, far.waits() { try far.take(1 << 20) }
            // Not in the expectation, which would look long for where they differ.
            let isSame = far.received == expected
            #expect(isSame, "\(note)")
            #expect(!link.hasUnsent && link.isConnected)
        }
    }

    @Test("A frame that is begun is finished first, also while passt reads")
    func outMeanwhile() throws {
        var random = Seeded(50)
        let buffers = try Buffers()
        let pair = try UnixSocket.pair()
        pair.one.descriptor.keepLittle()
        let far = PasstReader(pair.other)
        var link = try PasstLink(adopting: pair.one, path: "/nowhere")
        let thread = try Thread(name: "passt") { far.readToEnd() }
        var expected: [UInt8] = []
        for _ in 0..<300 {
            let frame = frame(&random)
            buffers.put(frame, [0..<frame.count])
            let list = buffers.list([0..<frame.count])
            // No waiting: the more often it finds the socket full, the better.
            while link.send(list, from: 0) == .full {}
            expected += PasstEnd.wire(frame)
        }
        while link.flush() == .full {}
        _ = consume link
        thread.join()
        let isSame = far.received == expected
        #expect(isSame, "\(random.note)")
    }

    @Test(
        "Frames into the guest come whole and in order, however the stream is cut", arguments: 0..<6
    )
    func into(run: Int) throws {
        var random = Seeded(100 + run)
        let note = random.note
        try link { link, far in
            let frames = (0..<150).map { _ in frame(&random) }
            var rest = frames.flatMap { PasstEnd.wire($0) }[...]
            var got = 0
            var idle = 0
            while got < frames.count, idle < 100_000 {
                idle += 1
                let most = [3, 100, 5000, 200_000].randomElement(using: &random) ?? 1
                let count = min(rest.count, Int.random(in: 1...most, using: &random))
                rest = rest.dropFirst(try far.give(rest.prefix(count)))
                if Int.random(in: 0..<3, using: &random) == 0 { #expect(link.fill() != .lost) }
                // A guest may be slow: some frames wait.
                for _ in 0..<Int.random(in: 0...3, using: &random) {
                    guard let place = link.next() else { continue }
                    #expect(link.next() == place)
                    #expect(
                        link.input.bytes(at: place.lowerBound, count: place.count) == frames[got],
                        "\(note)")
                    link.consume()
                    got += 1
                    idle = 0
                }
            }
            #expect(got == frames.count, "\(note)")
            #expect(link.next() == nil && link.fill() == .empty)
        }
    }

    @Test("A link that nobody empties takes what it has room for, and loses nothing")
    func slowGuest() throws {
        try link { link, far in
            let frame = [UInt8](repeating: 7, count: 65_535)
            var sent = 0
            var stream = PasstEnd.wire(frame)[...]
            // As long as either end has room.
            for _ in 0..<5000 {
                let put = try far.give(stream)
                stream = stream.dropFirst(put)
                if stream.isEmpty {
                    sent += 1
                    stream = PasstEnd.wire(frame)[...]
                }
                #expect(link.fill() != .lost)
            }
            #expect(sent > 2)
            var got = 0
            for _ in 0..<5000 where got < sent {
                while let place = link.next() {
                    #expect(link.input.bytes(at: place.lowerBound, count: place.count) == frame)
                    link.consume()
                    got += 1
                }
                #expect(link.fill() != .lost)
            }
            #expect(got == sent)
        }
    }

    @Test(
        "A length out of range ends the link",
        arguments: [0, 13, 65_551, 1 << 31, .max] as [UInt32])
    func badLength(length: UInt32) throws {
        try link { link, far in
            _ = try far.give(PasstEnd.wire([UInt8](repeating: 1, count: 20))[...])
            _ = try far.give(PasstEnd.wire([1, 2, 3], announcing: length)[...])
            #expect(link.fill() == .some)
            #expect(link.next()?.count == 20)
            link.consume()
            #expect(link.next() == nil)
            #expect(link.loss == .frame(length) && link.descriptor == -1)
            #expect(link.fill() == .lost)
            #expect(try !far.take(1))
        }
    }

    @Test("The longest and the shortest frame that may come do", arguments: [14, 65_550])
    func longest(count: Int) throws {
        try link { link, far in
            var stream = PasstEnd.wire([UInt8](repeating: 1, count: count))[...]
            while !stream.isEmpty {
                stream = stream.dropFirst(try far.give(stream))
                #expect(link.fill() != .lost)
            }
            #expect(link.next()?.count == count)
        }
    }

    @Test("What passt would not take is dropped, not sent", arguments: [0, 13, 65_536])
    func refused(count: Int) throws {
        let buffers = try Buffers()
        try link { link, far in
            let long = buffers.list([0..<12 + count])
            #expect(link.send(long, from: 12) == .dropped(SystemErrorCode.tooLong))
            #expect(link.send(buffers.list([0..<5]), from: 12) == .dropped(SystemErrorCode.tooLong))
            let many = buffers.list((0..<1100).map { $0 * 2..<$0 * 2 + 1 })
            #expect(link.send(many, from: 12) == .dropped(SystemErrorCode.tooLong))
            try far.take(100)
            #expect(far.received.isEmpty)
            #expect(link.send(buffers.list([0..<26]), from: 12) == .sent)
        }
    }

    @Test("Memory that the guest has lost costs its frame, not the link")
    func lostMemory() throws {
        let memory = try SharedMemory(count: 1 << 20)
        try memory.truncate(to: 0)
        try link { link, far in
            var list = IOVectors(capacity: 1)
            let isListed = list.append(memory.mapping, count: 100)
            #expect(isListed)
            #expect(link.send(list, from: 0) == .dropped(SystemErrorCode.badAddress))
            try far.take(100)
            #expect(far.received.isEmpty && link.isConnected)
        }
    }

    @Test("A passt that dies is noticed, and one that comes back is connected to from the start")
    func comesBack() throws {
        let path = scratchPath("passt")
        let buffers = try Buffers()
        var link = try PasstLink(path: path)
        #expect(link.descriptor == -1 && !link.isConnected && link.fill() == .lost)
        #expect(link.send(buffers.list([0..<60]), from: 0) == .lost)
        let absent = SystemError("connect", SystemErrorCode.noEntry)
        #expect(throws: PortFault.passt(path, absent)) { try link.connect() }
        for _ in 0..<3 {
            let listener = try UnixListener(path: path)
            try link.connect()
            guard let socket = try listener.accept() else { throw Unmet() }
            var far = PasstEnd(socket)
            // It dies with a frame half sent to it, and one half sent by it.
            while link.send(buffers.list([0..<60_000]), from: 0) == .sent {}
            #expect(link.hasUnsent == true)
            try far.take(4)
            #expect(far.received == [0, 0, 0xea, 0x60])
            _ = try far.give(PasstEnd.wire([1, 2], announcing: 60)[...])
            #expect(link.fill() == .some && link.next() == nil)
            _ = consume far
            #expect(link.fill() == .lost)
            #expect(link.loss != nil && link.descriptor == -1)
            #expect(link.send(buffers.list([0..<60]), from: 0) == .lost)
        }
        File.remove(path)
    }

    @Test("Sending to a passt that died finds that out too")
    func diesUnderSend() throws {
        let buffers = try Buffers()
        let pair = try UnixSocket.pair()
        var link = try PasstLink(adopting: pair.one, path: "/nowhere")
        _ = consume pair.other
        #expect(link.send(buffers.list([0..<60]), from: 0) == .lost)
        #expect(link.loss == .closed)
    }
}

struct Unmet: Error {}
