import Host
import Randomness
import VhostUserFrontend
import VirtioSpec

/// Words of chance for all that a network device reads of its driver's, and for where it writes:
/// descriptors, tables, the rings' indices, headers, packets, room for packets. Most are right, so that
/// what is wrong gets far.
struct NetNonsense: Sendable {
    /// Neighbours, a gap, and one more. Their files begin with bytes that are nobody's.
    static let memory: [GuestRAM.Plan] = [
        .init(guestAddress: 0, byteCount: 0x1_0000, fileOffset: fence),
        .init(guestAddress: 0x1_0000, byteCount: 0x8_0000, fileOffset: fence),
        .init(guestAddress: 0x9_0000, byteCount: 0x1_0000, fileOffset: fence),
        .init(guestAddress: 0xb_0000, byteCount: 0x1_0000, fileOffset: fence),
    ]
    private static let fence: UInt64 = 0x1_0000
    private static let fenceByte: UInt8 = 0xa5

    private let rings: [Ring]
    private let isPacked: Bool
    /// Where tables and packets are.
    private let data: Mapping
    private let dataStart: Int
    private let dataAddress: UInt64

    private struct Ring: Sendable {
        let size: Int
        let isIntoGuest: Bool
        let descriptors: Place
        let available: Place
    }

    private struct Place: Sendable {
        let memory: Mapping
        let offset: Int

        init(_ ram: GuestRAM, _ address: UInt64) {
            (memory, offset, _) = ram.place(address)
        }
    }

    private static let tableEntries = 64
    private static let firstPacket = 0x1000
    private static let packetStride = 0x1000
    private static let room = 0x2_0000

    init(_ driver: NetDriver) {
        isPacked = driver.features.contains(.packedRing)
        rings = [driver.receiveQueue(), driver.transmitQueue()].enumerated().map { index, queue in
            Ring(
                size: Int(queue.size), isIntoGuest: index == 0,
                descriptors: Place(driver.ram, queue.descriptors),
                available: Place(driver.ram, queue.available))
        }
        dataAddress = driver.ram.allocate(0x4_0000, alignment: 4096)
        (data, dataStart, _) = driver.ram.place(dataAddress)
        for (number, packet) in NetPackets.all.enumerated() {
            data.write(packet.span, at: dataStart + Self.firstPacket + number * Self.packetStride)
        }
        for region in driver.ram.regions {
            region.memory.mapping.fill(Self.fenceByte, at: 0, count: Int(Self.fence))
        }
    }

    /// Whether nobody has written where nothing of the guest's is. What is past one region's end, in
    /// the device's eyes, is as a rule another's beginning.
    static func isFenceWhole(_ ram: GuestRAM) -> Bool {
        ram.regions.allSatisfy { region in
            region.memory.mapping.bytes(at: 0, count: Int(fence)).allSatisfy { $0 == fenceByte }
        }
    }

    func write(_ random: inout Seeded) {
        for ring in rings {
            for _ in 0..<6 {
                // A packed ring begins anew, at its first slots, in every round.
                let most = isPacked && Bool.random(using: &random) ? 6 : ring.size
                let slot = Int.random(in: 0..<most, using: &random)
                writeDescriptor(
                    ring.descriptors.memory, at: ring.descriptors.offset + slot * 16, ring, &random)
            }
            for _ in 0..<4 {
                let entry = Int.random(in: 0..<Self.tableEntries, using: &random)
                writeDescriptor(data, at: dataStart + entry * 16, ring, &random)
            }
            offer(ring, &random)
        }
        for _ in 0..<4 { writePacket(&random) }
        let place = Int.random(in: 0..<0x1_0000 / 8, using: &random) * 8
        data.store64(random.next(), at: dataStart + Self.room + place)
    }

    /// A word of a packet or its header: another one, or the one that was there.
    private func writePacket(_ random: inout Seeded) {
        let number = Int.random(in: 0..<NetPackets.all.count, using: &random)
        let packet = NetPackets.all[number]
        let place = Int.random(in: 0..<min(20, packet.count / 4), using: &random) * 4
        let old = Bytes.u32(packet, at: place)
        let word = Bool.random(using: &random) ? old : UInt32(truncatingIfNeeded: random.next())
        data.store32(
            word, at: dataStart + Self.firstPacket + number * Self.packetStride + place)
    }

    private func offer(_ ring: Ring, _ random: inout Seeded) {
        let (memory, start) = (ring.available.memory, ring.available.offset)
        // The driver's event suppression structure.
        if isPacked { return memory.store64(random.next(), at: start) }
        // A head, and the index, are wrong now and then only.
        let isWrong = Int.random(in: 0..<500, using: &random) == 0
        for _ in 0..<4 {
            let slot = Int.random(in: 0..<ring.size, using: &random)
            let head = UInt16.random(in: 0..<UInt16(ring.size), using: &random)
            memory.store16(isWrong ? .max : head, at: start + 4 + slot * 2)
        }
        let index = memory.load16(at: start + 2)
        let step = isWrong ? UInt16(ring.size) : UInt16.random(in: 0...3, using: &random)
        memory.store16(index &+ step, at: start + 2, releasing: true)
    }

    private func writeDescriptor(
        _ memory: Mapping, at offset: Int, _ ring: Ring, _ random: inout Seeded
    ) {
        var (address, length) = place(ring, &random)
        var flags: UInt64 = ring.isIntoGuest ? 2 : 0
        switch Int.random(in: 0..<60, using: &random) {
        case 0: flags = UInt64.random(in: 0..<8, using: &random)
        case 1: length = [0, 1, 0x1_0000, 0xffff_fff0].randomElement(using: &random) ?? 0
        case 2:
            address = [0x9_fff9, 0xb_fff0, 1 << 45, .max - 15].randomElement(using: &random) ?? 0
        case 3..<12: flags |= 1
        case 12..<24:
            flags = 4
            address = dataAddress + UInt64.random(in: 0..<48, using: &random) * 16
            length = UInt64.random(in: 1...16, using: &random) * 16
        default: break
        }
        let next = UInt64.random(in: 0..<UInt64(ring.size), using: &random)
        // A packed descriptor's id is where the flags are else; its marks are right for one lap or the
        // other. In tables they say nothing.
        let marks: UInt64 =
            [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x8000, 0].randomElement(using: &random) ?? 0
        let rest = isPacked ? next | (flags | marks) << 16 : flags | next << 16
        memory.store64(address, at: offset)
        memory.store64(length | rest << 32, at: offset + 8)
    }

    /// Where a buffer is, and its bytes.
    private func place(_ ring: Ring, _ random: inout Seeded) -> (UInt64, UInt64) {
        guard !ring.isIntoGuest else {
            // Over the border between two regions too.
            let places = [
                dataAddress + UInt64(Self.room), dataAddress + UInt64(Self.room) + 0x8000, 0x8_fff5,
                0x9_0000, 0xb_0000,
            ]
            let lengths: [UInt64] = [5, 12, 40, 100, 1500, 1500, 2048, 0x8000]
            return (
                places.randomElement(using: &random) ?? 0,
                lengths.randomElement(using: &random) ?? 0
            )
        }
        let number = Int.random(in: 0..<NetPackets.all.count, using: &random)
        let start = dataAddress + UInt64(Self.firstPacket + number * Self.packetStride)
        let whole = UInt64(NetPackets.all[number].count)
        // Now and then in pieces that have nothing to do with each other.
        switch Int.random(in: 0..<10, using: &random) {
        case 0: return (start, UInt64.random(in: 1...30, using: &random))
        case 1: return (start + 12, whole - 12)
        default: return (start, whole)
        }
    }
}

/// Packets behind their headers, one for each way that a device has for them.
enum NetPackets {
    static let all: [[UInt8]] = [
        PacketHeader().bytes() + frame(to: TestFrame.broadcast, protocol: 17, payload: 50),
        PacketHeader().bytes() + frame(to: TestFrame.station(1), protocol: 17, payload: 1400),
        unfinished(frame(to: TestFrame.broadcast, protocol: 17, payload: 100), offset: 6),
        unfinished(
            frame(to: TestFrame.station(2), protocol: 6, payload: 3500), offset: 16,
            segmentation: NetSegmentation.tcp4, headers: 54),
        unfinished(
            frame(to: TestFrame.broadcast, protocol: 17, payload: 3000), offset: 6,
            segmentation: NetSegmentation.udpDatagrams, headers: 42),
    ]

    private static func unfinished(
        _ frame: [UInt8], offset: UInt16, segmentation: UInt8 = 0, headers: UInt16 = 0
    ) -> [UInt8] {
        var header = PacketHeader()
        header.flags = NetHeaderFlag.needsChecksum
        header.segmentation = segmentation
        header.headerLength = headers
        header.segmentBytes = segmentation == 0 ? 0 : 1000
        header.checksumStart = 34
        header.checksumOffset = offset
        return header.bytes() + frame
    }

    /// UDP or TCP in IPv4, from a station that nobody else is.
    private static func frame(
        to destination: [UInt8], protocol number: UInt8, payload: Int
    ) -> [UInt8] {
        let transport = number == 6 ? 20 : 8
        let length = 20 + transport + payload
        var bytes = destination + TestFrame.station(0) + [8, 0, 0x45, 0]
        bytes += [UInt8(length >> 8), UInt8(length & 0xff), 0, 0, 0, 0, 64, number, 0, 0]
        bytes += [10, 0, 0, 1, 10, 0, 0, 2, 0, 9, 0, 9]
        let rest = length - 20 - 4
        var tail = [UInt8](repeating: 0, count: rest)
        if number == 6 {
            // The header's words, and ACK.
            tail[8] = 0x50
            tail[9] = 0x10
        } else {
            tail[0] = UInt8((transport + payload) >> 8)
            tail[1] = UInt8((transport + payload) & 0xff)
        }
        return bytes + tail
    }
}
