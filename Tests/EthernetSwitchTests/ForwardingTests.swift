import EthernetSwitch
import Testing
import VirtioNet

@Suite("Where a frame goes on a switch without VLANs")
struct ForwardingTests {
    private static let three = [PortVLANs](repeating: .transparent, count: 3)

    @Test("What is for an unknown station goes everywhere but back")
    func floodsUnknown() {
        var table = fullSwitch(Self.three)
        #expect(table.send(1, to: 9, from: 1).ports == [0, 2])
    }

    @Test("A station that has sent something gets its frames alone")
    func learns() {
        var table = fullSwitch(Self.three)
        _ = table.broadcast(9, from: 2)
        #expect(table.send(1, to: 9, from: 0) == .to(2, .none))
    }

    @Test(
        "Frames for groups go everywhere but back, and learnt they are not",
        arguments: [0xffff_ffff_ffff, 0x01_0000_5e_0001, 0x0100_0000_3333] as [UInt64])
    func groups(address: UInt64) {
        var table = fullSwitch(Self.three)
        let key = FrameKey(destination: MACAddress(rawValue: address), source: station(1))
        #expect(table.forward(key, from: 0, now: 1).ports == [1, 2])
        #expect(table.stations(0).stations == 1)
    }

    @Test("A frame whose station lies behind the port it came from goes nowhere")
    func ownPort() {
        var table = fullSwitch(Self.three)
        _ = table.broadcast(9, from: 1)
        #expect(table.send(1, to: 9, from: 1) == .drop(.ownPort))
        #expect(table.send(9, to: 9, from: 1) == .drop(.ownPort))
    }

    @Test(
        "A source that is no station's is refused, and not learnt",
        arguments: [0, 1, 0xffff_ffff_ffff, 0x01_0000_5e_0001] as [UInt64])
    func badSource(address: UInt64) {
        var table = fullSwitch(Self.three)
        let key = FrameKey(destination: station(1), source: MACAddress(rawValue: address))
        #expect(table.forward(key, from: 0, now: 1) == .drop(.badSource))
        #expect(table.stations(0).stations == 0)
    }

    @Test("What is for the bridge itself stays on its link", arguments: 0..<16)
    func linkLocal(last: UInt64) {
        var table = fullSwitch(Self.three)
        let bridge = MACAddress(rawValue: 0xc2_8001 | last << 40)
        let key = FrameKey(destination: bridge, source: station(1))
        #expect(table.forward(key, from: 0, now: 1) == .drop(.linkLocal))
    }

    @Test(
        "The groups beside those are groups like others",
        arguments: [0x1000_00c2_8001, 0x0001_00c2_8001, 0x0000_00c2_8003] as [UInt64])
    func besideLinkLocal(address: UInt64) {
        var table = fullSwitch(Self.three)
        let key = FrameKey(destination: MACAddress(rawValue: address), source: station(1))
        #expect(table.forward(key, from: 0, now: 1).ports == [1, 2])
    }

    @Test("A port without a guest gets nothing and says nothing")
    func detached() {
        var table = fullSwitch(Self.three)
        table.detach(2)
        #expect(table.broadcast(1, from: 0).ports == [1])
        #expect(table.broadcast(2, from: 2) == .drop(.noReceiver))
        table.detach(1)
        #expect(table.broadcast(1, from: 0) == .drop(.noReceiver))
        table.attach(2)
        #expect(table.broadcast(1, from: 0).ports == [2])
    }

    @Test("With its guest a port's stations are forgotten, and nobody else's")
    func forgets() {
        // So large that hardly ever five of them meet in a bucket.
        var table = fullSwitch(Self.three, capacity: 1 << 16)
        for number in 0..<300 {
            _ = table.broadcast(number, from: 1)
            _ = table.broadcast(0x1000 + number, from: 2)
        }
        #expect(table.stations(1).stations == 300 && table.stations(2).stations == 300)
        table.detach(1)
        table.attach(1)
        #expect(table.stations(1).stations == 0 && table.stations(2).stations == 300)
        for number in 0..<300 {
            #expect(table.home(of: number, askedFrom: 0) == nil)
            #expect(table.home(of: 0x1000 + number, askedFrom: 0) == 2)
        }
    }

    @Test("All 64 ports are counted and reached")
    func manyPorts() {
        var table = fullSwitch([PortVLANs](repeating: .transparent, count: 64))
        #expect(table.broadcast(1, from: 63).ports == Set(0..<63))
        #expect(table.send(2, to: 1, from: 0) == .to(63, .none))
    }

    @Test("What came in, went out and was dropped is counted at its port")
    func counts() {
        var table = fullSwitch(Self.three)
        _ = table.broadcast(1, from: 0)
        _ = table.send(1, to: 1, from: 0)
        table.refuse(.runt, from: 0)
        table.refuse(.malformed, from: 0)
        table.countSent(to: 1)
        table.countDrop(.receiverFull, at: 2)
        table.countDrop(.tooLong, at: 2)
        let (first, third) = (table.counters(0), table.counters(2))
        #expect(first.received == 4 && first.sent == 0 && first.dropped == 3)
        #expect(first.dropped(.ownPort) == 1 && first.dropped(.runt) == 1)
        #expect(first.dropped(.malformed) == 1)
        #expect(table.counters(1).sent == 1 && table.counters(1).dropped == 0)
        #expect(third.received == 0 && third.dropped == 2)
        #expect(third.dropped(.receiverFull) == 1 && third.dropped(.tooLong) == 1)
    }

    @Test("Every reason has a count of its own, and words of its own")
    func reasons() {
        var counters = PortCounters()
        for reason in DropReason.allCases { counters.countDrop(reason) }
        #expect(DropReason.allCases.allSatisfy { counters.dropped($0) == 1 })
        #expect(Set(DropReason.allCases.map(\.description)).count == DropReason.allCases.count)
    }
}
