import Host
import HostNetwork
import VhostUserFrontend
import VirtioSpec

/// A guest at 10.9.0.2 beside a host's network: it takes what comes, and looks for what it wants.
final class NetGuest {
    let driver: NetDriver
    private let inboxes: [ReceiveStream]

    struct Packet {
        let header: PacketHeader
        let frame: [UInt8]
    }

    /// - Parameter buffers: bytes of each, and how many; else as a driver has them.
    init(_ driver: NetDriver, buffers: (count: Int, bytes: Int)? = nil) throws {
        self.driver = driver
        let usual = (count: 64, bytes: driver.isMergeable ? 1536 : 70_000)
        let (count, bytes) = buffers ?? usual
        inboxes = (0..<driver.options.pairs).map { pair in
            ReceiveStream(
                driver.receiveQueue(pair), slots: count, bytesPerBuffer: bytes,
                headerBytes: driver.headerBytes, isMergeable: driver.isMergeable)
        }
        for inbox in inboxes { try fill(inbox) }
    }

    private func fill(_ inbox: ReceiveStream) throws {
        try inbox.fill()
        inbox.queue.submit()
    }

    /// Sends a frame and waits until it is taken.
    func send(
        _ frame: [UInt8], _ header: PacketHeader = PacketHeader(), pair: Int = 0, cuts: [Int]? = nil
    ) throws {
        try driver.send(frame, header: header, pair: pair, cuts: cuts)
        try driver.waitForSent(pair: pair)
    }

    /// What comes next of what is wanted.
    func receive(pair: Int = 0, _ isWanted: ([UInt8]) -> Bool) throws -> Packet {
        while true {
            if let packet = try next(pair), isWanted(packet.frame) { return packet }
        }
    }

    /// The same by whichever pair it comes.
    private func receiveAnywhere(_ isWanted: ([UInt8]) -> Bool) throws -> Packet {
        while true {
            for pair in inboxes.indices {
                while let packet = try next(pair, waits: false) {
                    if isWanted(packet.frame) { return packet }
                }
            }
            guard !inboxes.contains(where: { $0.queue.armCall() }) else { continue }
            var set = PollSet()
            for inbox in inboxes { set.add(inbox.queue.call.descriptor.raw) }
            guard set.wait(milliseconds: 10_000) > 0 else { throw FrontendError.timedOut }
            for inbox in inboxes { inbox.queue.call.drain() }
        }
    }

    /// Whether something wanted is there.
    func hasReceived(pair: Int = 0, _ isWanted: ([UInt8]) -> Bool) throws -> Bool {
        while let packet = try next(pair, waits: false) {
            if isWanted(packet.frame) { return true }
        }
        return false
    }

    private func next(_ pair: Int, waits: Bool = true) throws -> Packet? {
        let inbox = inboxes[pair]
        if waits { try inbox.queue.waitForUsed(milliseconds: 10_000) }
        guard try inbox.next() != nil else { return nil }
        let bytes = inbox.bytes()
        inbox.giveBack()
        try fill(inbox)
        return Packet(
            header: PacketHeader(Array(bytes.prefix(inbox.headerBytes))),
            frame: Array(bytes.dropFirst(inbox.headerBytes)))
    }

    /// The host's address, by ARP: the whole way there and back.
    func findHost() throws -> [UInt8] {
        try send(Frame.whoHas(Ends.host))
        return Array(try receiveAnywhere(Frame.isAnswer).frame[6..<12])
    }

    /// A frame of a datagram to the host's port 7, its checksum left to others.
    static func unfinished(
        _ data: [UInt8], to mac: [UInt8], segment: UInt16 = 0
    ) -> (frame: [UInt8], header: PacketHeader) {
        var header = PacketHeader()
        header.flags = NetHeaderFlag.needsChecksum
        header.checksumStart = 34
        header.checksumOffset = 6
        if segment > 0 {
            header.segmentation = NetSegmentation.udpDatagrams
            header.headerLength = 42
            header.segmentBytes = segment
        }
        let frame = Frame.datagram(
            to: mac, from: 9, port: 7, data, checksum: Frame.unfinished(data.count))
        return (frame, header)
    }
}

/// Waits until something of the host's is so, which nothing else tells.
func waitUntil(_ isSo: () -> Bool) throws {
    for _ in 0..<2000 {
        if isSo() { return }
        var none = PollSet()
        _ = none.wait(milliseconds: 10)
    }
    throw NamespaceFault("it never came to that")
}
