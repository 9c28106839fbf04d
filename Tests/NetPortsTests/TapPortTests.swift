import Host
import HostNetwork
import NetPorts
import Randomness
import Testing
import VirtioNet
import VirtioSpec

/// A TAP `tap0` of the test's own, with the host's address on it and the guest known to it.
func withTap(queues: Int = 1, _ body: (TapGuest) throws -> Void) throws {
    try Namespace.own {
        let port = try TapPort(name: "tap0", queues: queues)
        try address("tap0")
        try body(TapGuest(port))
    }
}

@Suite("Packets through a real TAP")
struct TapPortTests {
    @Test("The host answers ARP, with headers of 12 bytes and of 10", arguments: [12, 10])
    func resolution(headerBytes: Int) throws {
        try withTap { guest in
            guest.use(headerBytes: headerBytes, takes: [])
            #expect(guest.port.isUp == true)
            #expect(guest.findHost()?.count == 6)
        }
    }

    @Test(
        "A ping comes back byte for byte, however its buffers lie",
        arguments: [1, 3, 100, 70_000], [56, 1400, 8900])
    func ping(most: Int, count: Int) throws {
        // More buffers than one call takes have a test of their own.
        let most = max(most, (count + 60) / 400)
        try withTap { guest in
            var random = Seeded()
            #expect(guest.port.setMTU(9000))
            #expect(guest.port.mtu == 9000)
            let mac = try #require(guest.findHost())
            let data = random.bytes(count)
            #expect(guest.send(Frame.ping(to: mac, data), most: most) == .sent)
            let pong = try #require(guest.receive(most: max(most, 200), Frame.isPong))
            #expect(Array(pong.frame[42...]) == data, "\(random.note)")
        }
    }

    @Test("A datagram whose checksum the guest left unfinished arrives, a wrong one does not")
    func unfinishedOut() throws {
        try withTap { guest in
            let mac = try #require(guest.findHost())
            let socket = try HostSocket(port: 7)
            let wrong = Frame.datagram(to: mac, from: 9, port: 7, [1, 1], checksum: 0x1234)
            #expect(guest.send(wrong) == .sent)
            let half = Frame.datagram(
                to: mac, from: 9, port: 7, [2, 2, 2], checksum: Frame.unfinished(3))
            var header = NetHeader.plain
            header.flags = NetHeaderFlag.needsChecksum
            header.checksumStart = 34
            header.checksumOffset = 6
            #expect(guest.send(half, header) == .sent)
            #expect(socket.receive() == [2, 2, 2])
        }
    }

    @Test("Datagrams that the guest left in one packet arrive one by one")
    func segmentsOut() throws {
        try withTap { guest in
            #expect(guest.port.takes.contains(.udpDatagrams))
            let mac = try #require(guest.findHost())
            let socket = try HostSocket(port: 7)
            var random = Seeded()
            let data = random.bytes(2500)
            var header = NetHeader.plain
            header.flags = NetHeaderFlag.needsChecksum
            header.segmentation = NetSegmentation.udpDatagrams
            header.headerLength = 42
            header.segmentBytes = 1000
            header.checksumStart = 34
            header.checksumOffset = 6
            let frame = Frame.datagram(
                to: mac, from: 9, port: 7, data, checksum: Frame.unfinished(data.count))
            #expect(guest.send(frame, header) == .sent)
            #expect(socket.receive() == Array(data[..<1000]), "\(random.note)")
            #expect(socket.receive() == Array(data[1000..<2000]))
            #expect(socket.receive() == Array(data[2000...]))
        }
    }

    @Test("A guest that takes everything gets datagrams in one packet, its checksum unfinished")
    func segmentsIn() throws {
        try withTap { guest in
            #expect(guest.port.gives == .all)
            guest.use(takes: .all)
            let socket = try HostSocket(port: 7)
            var random = Seeded()
            let data = random.bytes(2500)
            #expect(socket.send(data, to: 9, segment: 1000))
            let packet = try #require(guest.receive(Frame.isDatagram))
            #expect(packet.header.segmentation == NetSegmentation.udpDatagrams)
            #expect(packet.header.segmentBytes == 1000)
            #expect(packet.header.flags & NetHeaderFlag.needsChecksum != 0)
            #expect(packet.header.checksumStart == 34)
            #expect(packet.header.checksumOffset == 6)
            #expect(Array(packet.frame[42...]) == data, "\(random.note)")
        }
    }

    @Test(
        "A guest that takes less gets finished packets",
        arguments: [NetOffloads.checksum, [], [.tcp4, .udpDatagrams]])
    func finishedIn(takes: NetOffloads) throws {
        try withTap { guest in
            guest.use(takes: .all)
            guest.use(takes: takes)
            let socket = try HostSocket(port: 7)
            var random = Seeded()
            let data = random.bytes(2500)
            #expect(socket.send(data, to: 9, segment: 1000))
            for range in [0..<1000, 1000..<2000, 2000..<2500] {
                let packet = try #require(guest.receive(Frame.isDatagram))
                #expect(packet.header.segmentation == NetSegmentation.none)
                #expect(Array(packet.frame[42...]) == Array(data[range]), "\(random.note)")
                let isUnfinished = packet.header.flags & NetHeaderFlag.needsChecksum != 0
                #expect(isUnfinished || Frame.isRight(packet.frame))
                #expect(!isUnfinished || takes.contains(.checksum))
            }
        }
    }

    @Test("A packet longer than the buffers is an error, and the next comes whole")
    func tooLong() throws {
        try withTap { guest in
            let socket = try HostSocket(port: 7)
            #expect(socket.send([UInt8](repeating: 1, count: 500), to: 9))
            #expect(socket.send([UInt8](repeating: 2, count: 500), to: 9))
            let whole = 12 + 42 + 500
            var results: [Int] = []
            // Other packets of the host's may come between.
            while results.count < 2, waits(for: guest.port.descriptor(0)) {
                let room = results.isEmpty ? whole - 1 : whole
                let got = guest.port.receive(0, into: guest.buffers.list([0..<room]))
                let isOurs = got == -Int(SystemErrorCode.tooLong) || got == whole
                if isOurs { results.append(got) }
            }
            #expect(results == [-Int(SystemErrorCode.tooLong), whole])
            #expect(guest.buffers.get(1, [whole - 1..<whole]) == [2])
        }
    }

    @Test("More buffers than one call takes: the packet is dropped, or read into the first of them")
    func manyBuffers() throws {
        try withTap { guest in
            let mac = try #require(guest.findHost())
            let ping = Frame.ping(to: mac, [UInt8](repeating: 5, count: 1300))
            #expect(guest.send(ping, most: 1) == .dropped(SystemErrorCode.tooLong))
            #expect(guest.send(ping) == .sent)
            #expect(guest.receive(most: 1, Frame.isPong) == nil)
            #expect(guest.send(Frame.ping(to: mac, [1, 2, 3])) == .sent)
            #expect(guest.receive(most: 1, Frame.isPong)?.frame.count == 45)
        }
    }

    @Test("A packet that is no packet is dropped, and the next is sent")
    func malformed() throws {
        try withTap { guest in
            let mac = try #require(guest.findHost())
            var header = NetHeader.plain
            header.segmentation = 77
            header.segmentBytes = 100
            let ping = Frame.ping(to: mac, [1])
            #expect(guest.send(ping, header) == .dropped(SystemErrorCode.invalid))
            let short = guest.buffers.list([0..<5])
            #expect(guest.port.send(0, short) == .dropped(SystemErrorCode.invalid))
            #expect(guest.port.send(0, IOVectors(capacity: 1)) == .dropped(SystemErrorCode.invalid))
            #expect(guest.send(ping) == .sent)
            #expect(guest.receive(Frame.isPong) != nil)
        }
    }

    @Test("A flow comes back on the queue that it left by; one that is detached gets nothing")
    func twoQueues() throws {
        try withTap(queues: 2) { guest in
            let port = guest.port
            #expect(port.queueCount == 2)
            let mac = try #require(guest.findHost())
            let socket = try HostSocket(port: 7)
            let frame = Frame.datagram(to: mac, from: 9, port: 7, [1])
            for queue in [1, 0, 1] {
                #expect(guest.send(frame, queue: queue) == .sent)
                #expect(socket.receive() == [1])
                #expect(socket.send([UInt8(queue)], to: 9))
                #expect(guest.receive(queue: queue, Frame.isDatagram)?.frame.last == UInt8(queue))
            }
            #expect(port.detach(1) && port.detach(1))
            #expect(socket.send([8], to: 9))
            #expect(guest.receive(queue: 0, Frame.isDatagram)?.frame.last == 8)
            #expect(port.attach(1) && port.attach(1))
            #expect(guest.send(frame, queue: 1) == .sent)
            #expect(socket.receive() == [1])
            #expect(socket.send([9], to: 9))
            #expect(guest.receive(queue: 1, Frame.isDatagram)?.frame.last == 9)
        }
    }

    @Test("A queue beyond those in use gets nothing, attached or not, until it is in use")
    func limited() throws {
        try withTap(queues: 2) { guest in
            let port = guest.port
            let mac = try #require(guest.findHost())
            let socket = try HostSocket(port: 7)
            let frame = Frame.datagram(to: mac, from: 9, port: 7, [1])
            func sendBack(_ byte: UInt8) {
                #expect(guest.send(frame, queue: 1) == .sent)
                #expect(socket.receive() == [1])
                #expect(socket.send([byte], to: 9))
            }
            port.limit(to: 1)
            #expect(port.detach(1) && port.attach(1))
            #expect(socket.send([7], to: 9))
            #expect(guest.receive(queue: 0, Frame.isDatagram)?.frame.last == 7)
            port.limit(to: 2)
            sendBack(8)
            #expect(guest.receive(queue: 1, Frame.isDatagram)?.frame.last == 8)
            // What is detached stays so.
            #expect(port.detach(1))
            port.limit(to: 1)
            port.limit(to: 2)
            #expect(socket.send([9], to: 9))
            #expect(guest.receive(queue: 0, Frame.isDatagram)?.frame.last == 9)
        }
    }
}
