import EthernetSwitch
import Host
import Synchronization
import Testing
import VhostUserFrontend
import VhostUserServer
import VirtioSpec

@Suite("VLANs on a switch of guests")
struct SwitchVLANTests {
    /// Two access ports, a trunk that has one of their VLANs without tags, and one of another VLAN.
    private static let ports: [PortVLANs] = [
        .access(10), .access(10), .trunk(VLANSet([10...10, 20...20]), native: nil),
        .trunk(VLANSet([20...20]), native: 10), .access(30),
    ]

    private func start(_ shape: NetShape) throws -> (SwitchBackend, [NetDriver]) {
        let backend = try SwitchBackend(Self.ports)
        let guests = try Self.ports.indices.map { try backend.guest($0, shape.set) }
        for guest in guests { try guest.offerBuffers(16) }
        return (backend, guests)
    }

    @Test(
        "Tags are put in, taken off, or let be, and nobody else hears of it",
        arguments: NetShape.all)
    func tags(shape: NetShape) throws {
        let (backend, guests) = try start(shape)
        let all = TestFrame.broadcast
        let bare = TestFrame.make(to: all, from: TestFrame.station(0))
        let tagged = TestFrame.make(to: all, from: TestFrame.station(0), tags: [10])
        try guests[0].send(bare, cuts: [3, 11, 1, 2])
        try guests[0].waitForSent()
        #expect(try guests[1].receive().packet == bare)
        #expect(try guests[2].receive().packet == tagged)
        #expect(try guests[3].receive().packet == bare)
        // Learnt by now: straight from the trunk, and its tag comes off.
        let priority: UInt16 = 0x6000
        try guests[2].pass(TestFrame.make(to: 0, from: 2, tags: [priority | 10]))
        #expect(try guests[0].receive().packet == TestFrame.make(to: 0, from: 2))
        let twenty = TestFrame.make(to: all, from: TestFrame.station(3), tags: [priority | 20])
        try guests[3].pass(twenty)
        #expect(try guests[2].receive().packet == twenty)
        // A priority tag gets its VLAN's number on the way.
        try guests[3].pass(TestFrame.make(to: 2, from: 3, tags: [priority]))
        #expect(
            try guests[2].receive().packet == TestFrame.make(to: 2, from: 3, tags: [priority | 10]))
        for guest in guests { #expect(try !guest.hasReceived()) }
        #expect(backend.counters(4).sent == 0)
    }

    @Test("A tag on an access port, or of a VLAN that a trunk has not, leads nowhere")
    func refused() throws {
        let (backend, guests) = try start(NetShape())
        let all = TestFrame.broadcast
        try guests[0].pass(TestFrame.make(to: all, from: TestFrame.station(0), tags: [30]))
        try guests[2].pass(TestFrame.make(to: all, from: TestFrame.station(2), tags: [30]))
        try guests[2].pass(TestFrame.make(to: all, from: TestFrame.station(2)))
        for guest in guests { #expect(try !guest.hasReceived()) }
        #expect(backend.counters(0).dropped(.vlan) == 1)
        #expect(backend.counters(2).dropped(.vlan) == 1)
        #expect(backend.counters(2).dropped(.untagged) == 1)
    }
}

@Suite("A guest that writes on while its frames are looked at")
struct SwitchRaceTests {
    /// Writes to guest memory for as long as it is told to.
    private final class Writer: Sendable {
        private let isOver = Atomic<Bool>(false)

        func write(_ ram: GuestRAM, at place: UInt64) {
            var number: UInt8 = 10
            while !isOver.load(ordering: .relaxed) {
                number = number == 10 ? 30 : 10
                ram.write([0, number], at: place)
            }
        }

        func end() { isOver.store(true, ordering: .relaxed) }
    }

    @Test("leads them into no VLAN but the one that was looked at", arguments: [false, true])
    func tag(isWhole: Bool) throws {
        let backend = try SwitchBackend([
            .trunk(VLANSet([10...10]), native: nil), .trunk(VLANSet([10...30]), native: nil),
        ])
        let (sender, receiver) = (try backend.guest(0), try backend.guest(1))
        let frame = TestFrame.make(to: 1, from: 0, tags: [10])
        // In one piece for the short way, and with its tag cut off for the long one.
        let start = sender.headerBytes + 14
        let buffers = sender.place(
            [UInt8](repeating: 0, count: sender.headerBytes) + frame, cuts: isWhole ? [] : [start])
        let place = isWhole ? buffers[0].address + UInt64(start) : buffers[1].address
        // The first is flooded; from then on the way is known.
        if isWhole { try receiver.pass(TestFrame.make(to: 0, from: 1, tags: [10])) }
        for _ in 0..<64 { offer(receiver) }
        let writer = Writer()
        let ram = sender.ram
        let thread = try Thread(name: "writer") { writer.write(ram, at: place) }
        let passed = Result { try send(buffers, sender, to: receiver, frame) }
        writer.end()
        thread.join()
        #expect(try passed.get() > 100)
    }

    private func offer(_ receiver: NetDriver) {
        let place = receiver.ram.allocate(128)
        _ = receiver.receiveQueue().offer([.writable(place, 128)], token: place)
        receiver.receiveQueue().submit()
    }

    /// Sends the same frame again and again. Returns how often it arrived.
    private func send(
        _ buffers: [DriverBuffer], _ sender: NetDriver, to receiver: NetDriver, _ frame: [UInt8]
    ) throws -> Int {
        var passed = 0
        var rounds = 0
        // On a busy machine the writer may stand still for long, and on a tag that leads nowhere.
        while rounds < 400 || passed <= 100, rounds < 100_000 {
            rounds += 1
            for _ in 0..<32 { _ = sender.transmitQueue().offer(buffers, token: 0) }
            sender.transmitQueue().submit()
            try sender.waitForSent()
            while let (place, written) = try receiver.receiveQueue().reap() {
                passed += 1
                let bytes = receiver.ram.read(Int(written), at: place)
                #expect(Array(bytes[receiver.headerBytes...]) == frame)
                offer(receiver)
            }
        }
        return passed
    }
}
