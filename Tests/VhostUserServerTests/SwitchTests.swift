import EthernetSwitch
import Randomness
import Testing
import VhostUserFrontend
import VhostUserServer
import VirtioSpec

@Suite("What a guest sends into a switch comes to the guests it is for")
struct SwitchTests {
    private static func open(_ count: Int) throws -> SwitchBackend {
        try SwitchBackend(Array(repeating: .transparent, count: count))
    }

    @Test(
        "Frames of any size, cut anywhere, pass between two guests of whatever form",
        arguments: NetShape.all, [NetShape(), NetShape(packed: true, mergeable: false)])
    func equal(one: NetShape, other: NetShape) throws {
        var random = Seeded()
        let backend = try Self.open(2)
        let left = try backend.guest(0, one.set)
        let right = try backend.guest(1, other.set)
        for round in 0..<40 {
            let (sender, receiver) = round % 2 == 0 ? (left, right) : (right, left)
            let count = round < 10 ? 2 + round : Int.random(in: 2...9000, using: &random)
            let frame = TestFrame.make(
                to: UInt8(1 - round % 2), from: UInt8(round % 2), payload: random.bytes(count))
            let whole = sender.headerBytes + frame.count
            let cuts = (0..<Int.random(in: 0...6, using: &random)).map { _ in
                Int.random(in: 1...whole, using: &random)
            }
            let room = receiver.headerBytes + frame.count
            if receiver.isMergeable {
                let bytes = Int.random(in: max(16, room / 100)...4096, using: &random)
                try receiver.offerBuffers((room + bytes - 1) / bytes, bytes: bytes)
            } else {
                let first = Int.random(in: 1...room, using: &random)
                try receiver.offerBuffers(1, cuts: [first, room - first + 1])
            }
            try sender.send(frame, cuts: cuts)
            try sender.waitForSent()
            #expect(try receiver.receive().packet == frame, "seed \(random.seed)")
        }
    }

    @Test("A frame for an unknown station, or for all, goes to all others; for a known one, to it")
    func learning() throws {
        let backend = try Self.open(3)
        let guests = try (0..<3).map { try backend.guest($0) }
        for guest in guests { try guest.offerBuffers(8) }
        let unknown = TestFrame.make(to: 2, from: 0)
        try guests[0].pass(unknown)
        for guest in guests[1...] { #expect(try guest.receive().packet == unknown) }
        #expect(try !guests[0].hasReceived())
        let answer = TestFrame.make(to: 0, from: 2)
        try guests[2].pass(answer)
        #expect(try guests[0].receive().packet == answer)
        let known = TestFrame.make(
            to: 2, from: 0, payload: [8, 0] + [UInt8](repeating: 7, count: 200))
        for _ in 0..<3 { try guests[0].pass(known) }
        for _ in 0..<3 { #expect(try guests[2].receive().packet == known) }
        #expect(try !guests[1].hasReceived())
        let all = TestFrame.make(to: TestFrame.broadcast, from: TestFrame.station(1))
        try guests[1].pass(all)
        for guest in [guests[0], guests[2]] { #expect(try guest.receive().packet == all) }
        #expect(try !guests[1].hasReceived())
    }

    @Test(
        "Frames of one burst for different guests keep their order at each",
        arguments: [false, true])
    func burst(packed: Bool) throws {
        let backend = try Self.open(3)
        let guests = try (0..<3).map { try backend.guest($0) { $0.packed = packed } }
        for guest in guests { try guest.offerBuffers(100) }
        for station in 1...2 {
            try guests[station].pass(TestFrame.make(to: 0, from: UInt8(station)))
        }
        var random = Seeded()
        var sent: [[[UInt8]]] = [[], [], []]
        for number in 0..<90 {
            let target = Int.random(in: 1...2, using: &random)
            let frame = TestFrame.make(to: UInt8(target), from: 0, payload: [8, 0, UInt8(number)])
            sent[target].append(frame)
            try guests[0].send(frame)
        }
        try guests[0].waitForSent()
        for target in 1...2 {
            // What the other said first, when the station it was for was not known.
            _ = try guests[target].receive()
            for frame in sent[target] {
                #expect(try guests[target].receive().packet == frame, "seed \(random.seed)")
            }
        }
    }

    @Test("A guest without buffers loses its own frames, and the others get theirs")
    func slowGuest() throws {
        let backend = try Self.open(3)
        let guests = try (0..<3).map { try backend.guest($0) }
        try guests[1].offerBuffers(200)
        for station in 1...2 {
            try guests[station].pass(
                TestFrame.make(to: TestFrame.broadcast, from: TestFrame.station(UInt8(station))))
        }
        _ = try guests[1].receive()
        for round in 0..<70 {
            try guests[0].send(TestFrame.make(to: 2, from: 0))
            try guests[0].send(TestFrame.make(to: 1, from: 0))
            if round % 20 == 19 { try guests[0].waitForSent() }
        }
        try guests[0].waitForSent()
        for _ in 0..<70 {
            #expect(try guests[1].receive().packet == TestFrame.make(to: 1, from: 0))
        }
        #expect(backend.counters(2).dropped(.receiverFull) >= 70)
        try guests[2].offerBuffers(1)
        try guests[0].pass(TestFrame.make(to: 2, from: 0))
        #expect(try guests[2].receive().packet == TestFrame.make(to: 2, from: 0))
    }

    @Test("A guest that goes takes its stations along; the next one at its port is found anew")
    func leavesAndComesBack() throws {
        let backend = try Self.open(3)
        let left = try backend.guest(0)
        let other = try backend.guest(2)
        for guest in [left, other] { try guest.offerBuffers(8) }
        let frame = TestFrame.make(to: 1, from: 0)
        try left.pass(frame)
        _ = try other.receive()
        for round in 0..<3 {
            let right = try backend.guest(1) { $0.packed = round % 2 == 1 }
            try right.offerBuffers(2)
            try right.pass(TestFrame.make(to: 0, from: 1))
            _ = try left.receive()
            try left.pass(frame)
            #expect(try right.receive().packet == frame)
            #expect(try !other.hasReceived())
            _ = try right.stop()
            // Unknown again, so it goes to whoever is left.
            try left.pass(frame)
            #expect(try other.receive().packet == frame)
        }
    }

    @Test("A guest that breaks its rings leaves the others alone", arguments: [false, true])
    func brokenRing(packed: Bool) throws {
        let backend = try Self.open(3)
        var guests = try (0..<3).map { try backend.guest($0) { $0.packed = packed } }
        try guests[1].offerBuffers(8)
        let bad = guests[2].receiveQueue()
        #expect(bad.offer([.writable(1 << 45, 2048)], token: 0) != nil)
        bad.submit()
        let all = TestFrame.make(to: TestFrame.broadcast, from: TestFrame.station(0))
        try guests[0].pass(all)
        #expect(bad.waitForError())
        #expect(try guests[1].receive().packet == all)
        let worse = guests[2].transmitQueue()
        #expect(worse.offer([.readable(1 << 45, 100)], token: 0) != nil)
        worse.submit()
        #expect(worse.waitForError())
        for _ in 0..<3 {
            try guests[0].pass(all)
            #expect(try guests[1].receive().packet == all)
        }
        guests[2] = guests[0]
        guests[2] = try backend.guest(2)
        try guests[2].offerBuffers(1)
        try guests[0].pass(all)
        #expect(try guests[2].receive().packet == all)
    }

    @Test("What is no frame, or contradicts itself, goes to nobody")
    func badFrames() throws {
        let backend = try Self.open(2)
        let guests = try (0..<2).map { try backend.guest($0) { $0.offloads = .netOffloads } }
        try guests[1].offerBuffers(8)
        let frame = TestFrame.make(to: 1, from: 0)
        try guests[0].pass(Array(frame.prefix(13)))
        var header = PacketHeader()
        header.flags = NetHeaderFlag.needsChecksum
        header.checksumStart = 1000
        try guests[0].pass(frame, header: header)
        header.segmentation = 9
        try guests[0].pass(frame, header: header)
        // From an address of many, and for the bridge itself.
        try guests[0].pass(TestFrame.make(to: TestFrame.station(1), from: TestFrame.broadcast))
        try guests[0].pass(
            TestFrame.make(to: [1, 0x80, 0xc2, 0, 0, 0], from: TestFrame.station(0)))
        try guests[0].pass(frame)
        #expect(try guests[1].receive().packet == frame)
        #expect(try !guests[1].hasReceived())
        let counters = backend.counters(0)
        #expect(counters.dropped(.malformed) == 2)
        #expect(counters.dropped(.runt) == 1)
        #expect(counters.dropped(.badSource) == 1 && counters.dropped(.linkLocal) == 1)
        #expect(backend.counters(1).sent == 1)
    }
}
