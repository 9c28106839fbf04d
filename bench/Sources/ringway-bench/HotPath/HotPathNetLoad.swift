import ArgumentParser
import Host
import VhostUserFrontend
import VirtioSpec

/// A given number of packets, for counting what the back-end does for each: see tools/hotpath.
struct HotPathNetLoad: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hotpath-net-load",
        abstract: "Passes a number of packets and ends.",
        shouldDisplay: false)

    @Option(help: "The back-end's socket.")
    var socketPath: String

    @Option(help: "The socket where packets come out, if not the same.")
    var to: String?

    @Option(help: "tx, rx or loop.")
    var mode: NetMode = .loop

    @Option(help: "Packets in all.")
    var number: Int

    @Option(help: "Packets that are out and not back.")
    var depth = 32

    @Option(help: "Bytes of each.")
    var frame = 64

    @Option(help: "Bytes of a buffer, of which a packet on its way out takes as many as it must.")
    var cut: Int?

    @Flag(help: "Ask a host, 198.18.0.1, for its address, as packets that it answers.")
    var askHost = false

    @Flag(help: "A packed ring.")
    var packed = false

    @Flag(help: "A table for each packet of several buffers.")
    var indirect = false

    @Flag(help: "No mergeable buffers.")
    var noMrg = false

    func validate() throws {
        guard number > 0, depth > 0, depth <= 64, frame >= 60, frame <= 9018, cut ?? 1 > 0 else {
            throw ValidationError("number and depth (64 at most) above 0; frames of 60 to 9018")
        }
    }

    func run() throws {
        let sender = try driver(socketPath)
        let receiver = try to.map { try driver($0) } ?? sender
        if to != nil {
            // From here on it is known where it is.
            try receiver.send(bytes(from: Self.receiver, to: Self.sender))
            try receiver.waitForSent()
        }
        let outbox = outbox(sender)
        let inbox = ReceiveStream(
            receiver.receiveQueue(), slots: 256, bytesPerBuffer: receiver.isMergeable ? 2048 : 9200,
            headerBytes: receiver.headerBytes, isMergeable: receiver.isMergeable)
        try inbox.fill()
        inbox.queue.submit()
        try pass(outbox, inbox)
        _ = try sender.stop()
        if to != nil { _ = try receiver.stop() }
    }

    private func driver(_ path: String) throws -> NetDriver {
        var options = NetDriver.Options()
        options.packed = packed
        options.indirect = indirect
        options.mergeable = !noMrg
        return try NetDriver(
            FrontendConnection(path: path), GuestRAM(byteCount: 16 << 20), options)
    }

    private func outbox(_ sender: NetDriver) -> TransmitStream {
        let cuts = cut.map { Array(repeating: $0, count: (frame + 11) / $0) } ?? []
        let stream = TransmitStream(
            sender.transmitQueue(), slots: 64, packetBytes: frame, headerBytes: sender.headerBytes,
            cuts: cuts)
        let packet = askHost ? question : bytes(from: Self.sender, to: Self.receiver)
        for slot in 0..<stream.slots { stream.fill(slot, packet) }
        return stream
    }

    private func pass(_ outbox: TransmitStream, _ inbox: ReceiveStream) throws {
        var idle = Array(0..<outbox.slots)
        var (offered, received) = (0, 0)
        var isDone: Bool {
            (!mode.sends || (offered == number && idle.count == outbox.slots))
                && (!mode.receives || received >= number)
        }
        while !isDone {
            while mode.sends, offered < number, let slot = idle.last,
                mode == .tx ? outbox.slots - idle.count < depth : offered - received < depth
            {
                guard outbox.offer(slot) else {
                    throw FrontendError.device("the ring is too small")
                }
                idle.removeLast()
                offered += 1
            }
            outbox.queue.submit()
            let isLast = mode == .tx || received >= number
            try (isLast ? outbox.queue : inbox.queue).waitForUsed(milliseconds: 10_000)
            while let slot = try outbox.reap() { idle.append(slot) }
            while mode.receives, try inbox.next() != nil {
                received += 1
                inbox.giveBack()
            }
            try inbox.fill()
            inbox.queue.submit()
        }
    }

    private static let sender: [UInt8] = [2, 0, 0, 0, 0, 1]
    private static let receiver: [UInt8] = [2, 0, 0, 0, 0, 2]

    /// A packet of a kind that is kept for experiments.
    private func bytes(from source: [UInt8], to destination: [UInt8]) -> [UInt8] {
        let head = destination + source + [0x88, 0xb5]
        return head + [UInt8](repeating: 0, count: frame - head.count)
    }

    /// Who has 198.18.0.1? Tell 198.18.0.2 (RFC 826).
    private var question: [UInt8] {
        let head = [UInt8](repeating: 0xff, count: 6) + Self.sender + [0x08, 0x06]
        let body: [UInt8] =
            [0, 1, 8, 0, 6, 4, 0, 1] + Self.sender + [
                198, 18, 0, 2, 0, 0, 0, 0, 0, 0, 198, 18, 0, 1,
            ]
        return head + body + [UInt8](repeating: 0, count: frame - head.count - body.count)
    }
}
