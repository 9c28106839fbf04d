import EthernetSwitch
import Glibc
import Host
import Randomness
import Synchronization
import Testing
import VhostUserFrontend
import VhostUserServer
import VirtioSpec

@Suite(
    "A driver that rewrites all that a network device reads harms nobody but itself", .serialized)
struct NetRaceTests {
    static let shapes: [NetShape] = [false, true].flatMap { packed in
        [NetShape(packed: packed), NetShape(packed: packed, mergeable: false)]
    }

    @Test("On a loopback the next driver finds all well", arguments: shapes, [false, true])
    func loopback(shape: NetShape, isWhole: Bool) throws {
        let backend = try NetBackend(.loopback)
        do {
            let racer = try Racer(FrontendConnection(path: backend.path), shape) {
                if !isWhole { $0.offloads = .netOffloads }
            }
            try racer.race {}
        }
        let driver = try backend.driver(shape.set)
        try driver.offerBuffers(2)
        let packet = [UInt8](repeating: 0x5a, count: 90)
        try driver.send(packet)
        #expect(try driver.receive().packet == packet)
    }

    @Test("On a switch the other guests go on", arguments: shapes, [false, true])
    func onSwitch(shape: NetShape, isWhole: Bool) throws {
        let others = PortVLANs.trunk(VLANSet([20...20]), native: 10)
        let backend = try SwitchBackend([.access(10), others, others])
        let pair = try SteadyPair(
            backend.guest(1), backend.guest(2) { $0.offloads = .netOffloads })
        let racer = try Racer(FrontendConnection(path: backend.paths[0]), shape) {
            if !isWhole { $0.offloads = .netOffloads }
        }
        try racer.race { try pair.exchange() }
        #expect(backend.counters(0).received > 0)
        #expect(backend.counters(0).sent > 0)
    }
}

/// A driver whose rings run while another thread writes nonsense into them.
final class Racer {
    private let driver: NetDriver
    private let nonsense: NetNonsense
    private let random = Seeded()
    private var counts = Counts()
    /// Where each ring was started last.
    private var starts: [UInt32]

    private struct Counts {
        /// Rounds in which packets were taken, and in which room for some was.
        var sent = 0
        var received = 0
        var latched = 0
        var rounds = 0

        var isEnough: Bool { sent >= 40 && received >= 40 && latched >= 40 }
    }

    init(
        _ connection: FrontendConnection, _ shape: NetShape,
        _ change: (inout NetDriver.Options) -> Void
    ) throws {
        var options = NetDriver.Options()
        shape.set(&options)
        options.queueSize = 64
        change(&options)
        driver = try NetDriver(connection, GuestRAM(NetNonsense.memory), options)
        nonsense = NetNonsense(driver)
        starts = driver.queues.map(\.start)
    }

    /// Starts both rings over and over, and calls `body` between, until enough has happened.
    func race(_ body: () throws -> Void) throws {
        let isOver = Atomic<Bool>(false)
        let (nonsense, random) = (nonsense, random)
        let thread = try Thread(name: "nonsense") {
            var random = random
            while !isOver.load(ordering: .relaxed) {
                nonsense.write(&random)
                // The others have their turn too, where there are few processors.
                sched_yield()
            }
        }
        let result = Result {
            // The bound is far beyond what it takes.
            while !counts.isEnough, counts.rounds < 20_000 {
                counts.rounds += 1
                if try runs(0) { counts.received += 1 }
                if try runs(1) { counts.sent += 1 }
                try body()
            }
        }
        isOver.store(true, ordering: .relaxed)
        thread.join()
        try result.get()
        try result.get()
        #expect(counts.isEnough, "\(random.note): \(counts)")
        #expect(NetNonsense.isFenceWhole(driver.ram), "\(random.note)")
    }

    /// Stops a ring and starts it again. Returns whether it has gone on since its last start.
    private func runs(_ index: Int) throws -> Bool {
        let queue = driver.queues[index]
        let base = try driver.connection.vringBase(UInt32(index))
        let wentOn = base != starts[index]
        if queue.error.drain() { counts.latched += 1 }
        var start = PackedRingBase.fresh.rawValue
        if let split = queue as? SplitDriverQueue {
            // A few chains back from where the driver is by now.
            start = UInt32(split.availableIndex() &- 8)
        }
        starts[index] = start
        try driver.start(index, base: start)
        return wentOn
    }
}

/// Two guests at a switch's second and third ports, in VLAN 20, that count what they say to each other,
/// and say something in VLAN 10 too.
private final class SteadyPair {
    private let guests: [NetDriver]
    private let outbox: TransmitStream
    private let inboxes: [ReceiveStream]
    private var number: UInt32 = 0

    init(_ sender: NetDriver, _ receiver: NetDriver) throws {
        guests = [sender, receiver]
        // From here on it is known where it is.
        try receiver.pass(TestFrame.make(to: 1, from: 2, tags: [20]))
        outbox = TransmitStream(
            sender.transmitQueue(), slots: 2, packetBytes: 600, headerBytes: sender.headerBytes)
        inboxes = guests.map {
            ReceiveStream(
                $0.receiveQueue(), slots: 128, bytesPerBuffer: 2048, headerBytes: $0.headerBytes,
                isMergeable: $0.isMergeable)
        }
    }

    /// Sends the next frame until it arrives: others may have taken the room for it.
    func exchange() throws {
        number += 1
        let payload = Bytes.of(number) + [UInt8](repeating: UInt8(number & 0xff), count: 580)
        let frame = TestFrame.make(to: 2, from: 1, tags: [20], payload: payload)
        outbox.fill(0, frame)
        outbox.fill(
            1, TestFrame.make(to: TestFrame.broadcast, from: TestFrame.station(1), payload: payload)
        )
        for _ in 0..<10_000 {
            for inbox in inboxes {
                try inbox.fill()
                inbox.queue.submit()
            }
            for slot in 0..<2 { #expect(outbox.offer(slot)) }
            outbox.queue.submit()
            while outbox.queue.inFlight > 0 {
                try outbox.queue.waitForUsed(milliseconds: 10_000)
                while try outbox.reap() != nil {}
            }
            if try arrives(frame) { return }
        }
        Issue.record("frame \(number) never arrived")
    }

    private func arrives(_ frame: [UInt8]) throws -> Bool {
        var hasArrived = false
        for (place, inbox) in inboxes.enumerated() {
            while try inbox.next() != nil {
                let bytes = Array(inbox.bytes().dropFirst(inbox.headerBytes))
                inbox.giveBack()
                // Tags are this VLAN's alone.
                guard bytes.count >= 16, Array(bytes[12..<16]) == [0x81, 0, 0, 20] else { continue }
                #expect(place == 1 && bytes == frame)
                hasArrived = true
            }
        }
        return hasArrived
    }
}
