import Host
import HostNetwork
import NetPorts
import Randomness
import VirtioNet

/// A guest's memory, and lists of buffers in it.
final class Buffers {
    static let room = 256 << 10
    let memory: Mapping

    init() throws { memory = try Mapping.anonymous(count: 4 << 20) }

    /// `count` bytes in pieces of random lengths, `most` bytes at most, with gaps between them.
    func pieces(_ count: Int, most: Int, _ random: inout Seeded) -> [Range<Int>] {
        var pieces: [Range<Int>] = []
        var place = 0
        var left = count
        while left > 0 {
            place += Int.random(in: 1...5, using: &random)
            let length = min(left, Int.random(in: 1...most, using: &random))
            pieces.append(place..<place + length)
            place += length
            left -= length
        }
        return pieces
    }

    func list(_ pieces: [Range<Int>]) -> IOVectors {
        var list = IOVectors(capacity: max(1, pieces.count))
        for piece in pieces {
            precondition(list.append(memory, at: piece.lowerBound, count: piece.count))
        }
        return list
    }

    func put(_ bytes: [UInt8], _ pieces: [Range<Int>]) {
        var done = 0
        for piece in pieces where done < bytes.count {
            let length = min(piece.count, bytes.count - done)
            memory.write(bytes.span.extracting(done..<done + length), at: piece.lowerBound)
            done += length
        }
    }

    func get(_ count: Int, _ pieces: [Range<Int>]) -> [UInt8] {
        let all = pieces.flatMap { memory.bytes(at: $0.lowerBound, count: $0.count) }
        return Array(all.prefix(count))
    }
}

/// A guest's end of a TAP: whole packets in, whole packets out.
final class TapGuest {
    let port: TapPort
    let buffers: Buffers
    private var headerBytes = 12
    private var random = Seeded()

    init(_ port: TapPort) throws {
        self.port = port
        buffers = try Buffers()
    }

    func use(headerBytes: Int = 12, takes: NetOffloads) {
        self.headerBytes = headerBytes
        port.use(headerBytes: headerBytes, guestTakes: takes)
    }

    /// - Parameter most: bytes of the longest buffer that the packet is put into.
    func send(
        _ frame: [UInt8], _ header: NetHeader = .plain, queue: Int = 0, most: Int = 70_000
    ) -> PortSend {
        let bytes = header.bytes(headerBytes) + frame
        let pieces = buffers.pieces(bytes.count, most: most, &random)
        buffers.put(bytes, pieces)
        return port.send(queue, buffers.list(pieces))
    }

    /// The next packet that `isWanted`, or nil where none comes.
    func receive(
        queue: Int = 0, most: Int = 70_000, _ isWanted: ([UInt8]) -> Bool
    ) -> (header: NetHeader, frame: [UInt8])? {
        receive(among: queue..<queue + 1, most, isWanted)
    }

    private func receive(
        among queues: Range<Int>, _ most: Int, _ isWanted: ([UInt8]) -> Bool
    ) -> (header: NetHeader, frame: [UInt8])? {
        while let queue = readable(queues) {
            let pieces = buffers.pieces(70_000, most: most, &random)
            let got = port.receive(queue, into: buffers.list(pieces))
            guard got >= headerBytes else { return nil }
            let bytes = buffers.get(got, pieces)
            let frame = Array(bytes[headerBytes...])
            if isWanted(frame) { return (NetHeader(bytes[..<headerBytes]), frame) }
        }
        return nil
    }

    /// The first of `queues` that has a packet, or nil where none comes.
    private func readable(_ queues: Range<Int>) -> Int? {
        var set = PollSet()
        for queue in queues { set.add(port.descriptor(queue)) }
        guard set.wait(milliseconds: 10_000) > 0 else { return nil }
        return queues.first { set.isReady($0 - queues.lowerBound) }
    }

    /// Receives from whichever queue has something.
    func receiveAnywhere(_ isWanted: ([UInt8]) -> Bool) -> (header: NetHeader, frame: [UInt8])? {
        receive(among: 0..<port.queueCount, 70_000, isWanted)
    }

    /// Asks for the host's MAC address by ARP: the whole way there and back.
    func findHost(queue: Int = 0) -> [UInt8]? {
        guard send(Frame.whoHas(Ends.host), queue: queue) == .sent else { return nil }
        let answer = receiveAnywhere(Frame.isAnswer)
        return answer.map { Array($0.frame[6..<12]) }
    }
}

/// An IPv4 datagram socket of the host's.
final class HostSocket {
    let descriptor: OwnedFD

    init(port: UInt16) throws { descriptor = try OwnedFD.datagrams(Ends.host, port) }

    func receive() -> [UInt8]? {
        waits(for: descriptor.raw) ? descriptor.receiveDatagram() : nil
    }

    /// - Parameter segment: bytes of each datagram that the kernel is to make of it.
    func send(_ bytes: [UInt8], to port: UInt16, segment: Int32? = nil) -> Bool {
        descriptor.sendDatagram(bytes, Ends.guest, port, segment) == bytes.count
    }
}
