import Host
import Randomness
import Testing
import VhostUserFrontend
import VirtioSpec

/// A ring's form.
struct NetForm: Sendable, CustomTestStringConvertible {
    var isPacked = false
    var indirect = false
    var testDescription: String {
        (isPacked ? "packed" : "split") + (indirect ? ", indirect" : "")
    }

    static let all = [false, true].flatMap { packed in
        [false, true].map { NetForm(isPacked: packed, indirect: $0) }
    }

    func queue(size: UInt16 = 16) throws -> DriverQueue {
        let shape = QueueShape(
            isPacked: isPacked, size: size, options: DriverQueue.Options(indirect: indirect),
            start: nil)
        return try shape.queue(GuestRAM(byteCount: 4 << 20))
    }
}

@Suite("Packets out of the guest")
struct TransmitStreamTests {
    @Test("Header and packet lie as they are cut", arguments: NetForm.all, [[], [12], [5, 20, 1]])
    func cuts(form: NetForm, cuts: [Int]) throws {
        let stream = try TransmitStream(
            form.queue(), slots: 2, packetBytes: 60, headerBytes: 12, cuts: cuts)
        var device = try TestDevice(stream.queue)
        var header = PacketHeader()
        header.flags = 1
        header.checksumStart = 0x1234
        let packet = (0..<60).map { UInt8($0 + 100) }
        stream.fill(1, packet, header: header)
        #expect(stream.offer(1))
        let early = device.take()
        #expect(early == nil)
        stream.queue.submit()
        let taken = try device.takeOne()
        let last = 72 - cuts.reduce(0, +)
        #expect(taken.buffers.map { Int($0.length) } == cuts + [last])
        #expect(taken.buffers.allSatisfy { !$0.isWritable })
        let expected: [UInt8] = [1, 0, 0, 0, 0, 0, 0x34, 0x12, 0, 0, 0, 0] + packet
        #expect(stream.queue.ram.read(taken.buffers) == expected)
        device.complete([(taken, 0)])
        #expect(try stream.reap() == 1)
        #expect(try stream.reap() == nil)
    }

    @Test("Slots go round and round, back in any order", arguments: NetForm.all)
    func rounds(form: NetForm) throws {
        var random = Seeded(form.isPacked ? 1 : 2)
        let stream = try TransmitStream(
            form.queue(size: 32), slots: 8, packetBytes: 64, headerBytes: 12, cuts: [12])
        var device = try TestDevice(stream.queue)
        var idle = Array(0..<8)
        var out: [TestDevice.Taken] = []
        for round in 0..<2000 {
            idle.shuffle(using: &random)
            for _ in 0..<Int.random(in: 0...idle.count, using: &random) {
                let slot = idle.removeLast()
                stream.fill(slot, Bytes.of(UInt64(slot)))
                #expect(stream.offer(slot), "\(random.note)")
            }
            stream.queue.submit()
            while let taken = device.take() { out.append(taken) }
            out.shuffle(using: &random)
            for _ in 0..<Int.random(in: 0...out.count, using: &random) {
                let taken = out.removeLast()
                let bytes = stream.queue.ram.read(taken.buffers)
                device.complete([(taken, 0)])
                let slot = try #require(try stream.reap(), "round \(round), \(random.note)")
                #expect(Bytes.u64(bytes, at: 12) == UInt64(slot), "\(random.note)")
                idle.append(slot)
            }
            #expect(stream.queue.inFlight == out.count)
        }
    }

    @Test("A full ring says so, and takes more when there is room", arguments: NetForm.all)
    func full(form: NetForm) throws {
        let stream = try TransmitStream(
            form.queue(size: 4), slots: 8, packetBytes: 64, headerBytes: 10)
        var device = try TestDevice(stream.queue)
        for slot in 0..<4 { #expect(stream.offer(slot)) }
        #expect(!stream.offer(4))
        stream.queue.submit()
        let first = try device.takeOne()
        #expect(first.length == 74)
        device.complete([(first, 0)])
        #expect(try stream.reap() == 0)
        #expect(stream.offer(4))
    }
}

@Suite("Packets into the guest")
struct ReceiveStreamTests {
    private func stream(
        _ form: NetForm, slots: Int = 8, bytesPerBuffer: Int = 100, headerBytes: Int = 12,
        isMergeable: Bool = true
    ) throws -> (ReceiveStream, TestDevice) {
        let stream = try ReceiveStream(
            form.queue(), slots: slots, bytesPerBuffer: bytesPerBuffer, headerBytes: headerBytes,
            isMergeable: isMergeable)
        #expect(try stream.fill() == slots)
        stream.queue.submit()
        return (stream, try TestDevice(stream.queue))
    }

    /// Writes a packet into as many buffers as it takes; `claimed` of them by its header.
    private func deliver(
        _ packet: [UInt8], _ stream: ReceiveStream, _ device: inout TestDevice,
        claimed: UInt16? = nil
    ) throws {
        let count =
            (stream.headerBytes + packet.count + stream.bytesPerBuffer - 1)
            / stream.bytesPerBuffer
        var header = [UInt8](repeating: 0, count: stream.headerBytes)
        if stream.isMergeable {
            header.replaceSubrange(10..<12, with: Bytes.of(claimed ?? UInt16(count)))
        }
        var rest = (header + packet)[...]
        var chains: [(TestDevice.Taken, written: Int)] = []
        for _ in 0..<count {
            let taken = try device.takeOne()
            #expect(taken.buffers.allSatisfy { $0.isWritable })
            let piece = Array(rest.prefix(taken.length))
            stream.queue.ram.write(piece, over: taken.buffers)
            chains.append((taken, piece.count))
            rest = rest.dropFirst(piece.count)
        }
        device.complete(chains)
    }

    @Test("A packet in one buffer", arguments: NetForm.all, [10, 12])
    func single(form: NetForm, headerBytes: Int) throws {
        var (stream, device) = try stream(form, headerBytes: headerBytes, isMergeable: false)
        #expect(try stream.next() == nil)
        let packet = (0..<60).map { UInt8($0 + 7) }
        try deliver(packet, stream, &device)
        let found = try #require(try stream.next())
        #expect((found.packetBytes, found.bufferCount, found.firstBytes) == (60, 1, 60))
        #expect(stream.memory.bytes(at: found.offset, count: 60) == packet)
        #expect(Array(stream.bytes().dropFirst(headerBytes)) == packet)
        #expect(try stream.fill() == 0)
        stream.giveBack()
        #expect(try stream.fill() == 1)
    }

    @Test("Packets of every length, merged of as many buffers as they take", arguments: NetForm.all)
    func merged(form: NetForm) throws {
        var (stream, device) = try stream(form)
        for length in 1...788 {
            let packet = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 31 + length) }
            try deliver(packet, stream, &device)
            let found = try #require(try stream.next())
            #expect(found.packetBytes == length)
            #expect(found.bufferCount == (length + 12 + 99) / 100)
            #expect(found.firstBytes == min(length, 88))
            #expect(Array(stream.bytes().dropFirst(12)) == packet)
            stream.giveBack()
            #expect(try stream.next() == nil)
            #expect(try stream.fill() == found.bufferCount)
            stream.queue.submit()
        }
        #expect(stream.queue.inFlight == 8)
    }

    @Test("Several packets wait, each by itself", arguments: NetForm.all)
    func several(form: NetForm) throws {
        var (stream, device) = try stream(form)
        for length in [10, 150, 30] as [UInt8] {
            try deliver([UInt8](repeating: length, count: Int(length)), stream, &device)
        }
        for length in [10, 150, 30] {
            #expect(try stream.next()?.packetBytes == length)
            stream.giveBack()
        }
        #expect(try stream.next() == nil)
    }

    private func isBroken(_ stream: ReceiveStream) -> Bool {
        do throws(FrontendError) {
            _ = try stream.next()
            return false
        } catch {
            guard case .device = error else { return false }
            return true
        }
    }

    @Test("A packet in no buffer, in more than came, or shorter than its header")
    func broken() throws {
        for form in NetForm.all {
            for claimed in [0, 2, 0xffff] as [UInt16] {
                var (stream, device) = try stream(form)
                try deliver([1, 2, 3], stream, &device, claimed: claimed)
                #expect(isBroken(stream), "\(form.testDescription), \(claimed)")
            }
            for written in 0..<12 {
                var (stream, device) = try stream(form)
                let taken = try device.takeOne()
                device.complete([(taken, written)])
                #expect(isBroken(stream), "\(form.testDescription), \(written)")
            }
        }
    }
}

@Suite("A packet's header")
struct PacketHeaderTests {
    @Test("Its bytes are where the spec has them, and come back the same")
    func bytes() {
        var header = PacketHeader()
        header.flags = 1
        header.segmentation = 0x81
        header.headerLength = 0x0203
        header.segmentBytes = 0x0405
        header.checksumStart = 0x0607
        header.checksumOffset = 0x0809
        header.bufferCount = 0x0a0b
        #expect(header.bytes() == [1, 0x81, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10])
        #expect(header.bytes(10) == [1, 0x81, 3, 2, 5, 4, 7, 6, 9, 8])
        #expect(PacketHeader(header.bytes()) == header)
        header.bufferCount = 0
        #expect(PacketHeader(header.bytes(10)) == header)
    }
}
