import EthernetSwitch
import Testing
import VirtioNet

@Suite("Which VLAN a frame is in, who may have it, and with which tag")
struct VLANTests {
    /// 0 and 1: VLAN 10; 2: VLAN 20; 3: both with tags; 4: both, 10 without a tag; 5: 30 alone.
    private static let ports: [PortVLANs] = [
        .access(10), .access(10), .access(20), .trunk(VLANSet([10...10, 20...20]), native: nil),
        .trunk(VLANSet([20...20]), native: 10), .trunk(VLANSet([30...30]), native: nil),
    ]

    private func tag(_ number: UInt16, priority: UInt16 = 0, over: Bool = false) -> FrameTag {
        .vlan(control: priority << 13 | number, isOverAnother: over)
    }

    private func flood(bare: [Int], _ one: TagChange, tagged: [Int], _ other: TagChange) -> Verdict
    {
        .flood(Flood(bare: PortSet(bare), one, tagged: PortSet(tagged), other))
    }

    @Test("From an access port: bare to its like, with a tag to trunks")
    func fromAccess() {
        var table = fullSwitch(Self.ports)
        let verdict = table.broadcast(1, from: 0)
        #expect(verdict == flood(bare: [1, 4], .none, tagged: [3], .insert(10)))
    }

    @Test("From a trunk: the tag is taken off for access ports, and left for trunks")
    func fromTrunk() {
        var table = fullSwitch(Self.ports)
        let ten = table.broadcast(1, from: 3, tag: tag(10, priority: 5))
        #expect(ten == flood(bare: [0, 1, 4], .remove, tagged: [], .none))
        let twenty = table.broadcast(1, from: 3, tag: tag(20, priority: 5))
        #expect(twenty == flood(bare: [2], .remove, tagged: [4], .none))
    }

    @Test("A tag with a priority only: its priority goes on where the frame leaves with a tag")
    func priority() {
        var table = fullSwitch(Self.ports)
        let verdict = table.broadcast(1, from: 0, tag: tag(0, priority: 7))
        #expect(verdict == flood(bare: [1, 4], .remove, tagged: [3], .replace(7 << 13 | 10)))
    }

    @Test("One station in two VLANs is two")
    func separate() {
        var table = fullSwitch(Self.ports)
        _ = table.broadcast(9, from: 3, tag: tag(10))
        #expect(table.send(1, to: 9, from: 0) == .to(3, .insert(10)))
        #expect(table.send(1, to: 9, from: 2).ports == [3, 4])
        _ = table.broadcast(9, from: 4, tag: tag(20))
        #expect(table.send(1, to: 9, from: 0) == .to(3, .insert(10)))
        #expect(table.send(1, to: 9, from: 2) == .to(4, .insert(20)))
    }

    @Test("To one port: tags as when flooded")
    func toOne() {
        var table = fullSwitch(Self.ports)
        _ = table.broadcast(9, from: 0)
        #expect(table.send(1, to: 9, from: 1) == .to(0, .none))
        #expect(table.send(1, to: 9, from: 4) == .to(0, .none))
        #expect(table.send(1, to: 9, from: 3, tag: tag(10)) == .to(0, .remove))
        _ = table.broadcast(8, from: 3, tag: tag(10))
        let answer = table.send(9, to: 8, from: 0, tag: tag(0, priority: 3))
        #expect(answer == .to(3, .replace(3 << 13 | 10)))
    }

    @Test("The native VLAN may come with its tag too, and leaves without")
    func native() {
        var table = fullSwitch(Self.ports)
        let verdict = table.broadcast(1, from: 4, tag: tag(10))
        #expect(verdict == flood(bare: [0, 1], .remove, tagged: [3], .none))
    }

    @Test("A VLAN that the port does not carry is refused, and nothing learnt from it")
    func notCarried() {
        var table = fullSwitch(Self.ports)
        for (port, number) in [(0, 20), (0, 10), (3, 30), (4, 4095), (5, 10)] {
            let verdict = table.broadcast(1, from: port, tag: tag(UInt16(number)))
            #expect(verdict == .drop(.vlan), "port \(port), VLAN \(number)")
            #expect(table.stations(port).stations == 0)
            #expect(table.counters(port).dropped(.vlan) > 0)
        }
    }

    @Test("A trunk without a native VLAN takes no frame without a VLAN")
    func noNative() {
        var table = fullSwitch(Self.ports)
        #expect(table.broadcast(1, from: 3) == .drop(.untagged))
        #expect(table.broadcast(1, from: 3, tag: tag(0, priority: 1)) == .drop(.untagged))
        #expect(table.counters(3).dropped(.untagged) == 2)
    }

    @Test("Alone in its VLAN, a port's frames have no receiver")
    func alone() {
        var table = fullSwitch(Self.ports)
        #expect(table.broadcast(1, from: 5, tag: tag(30)) == .drop(.noReceiver))
    }

    @Test("A tag under a tag never comes to light: that would lead into any VLAN farther on")
    func doubleTag() {
        var table = fullSwitch(Self.ports)
        let inTen = table.broadcast(1, from: 4, tag: tag(10, over: true))
        #expect(inTen == flood(bare: [], .remove, tagged: [3], .none))
        let onlyPriority = table.broadcast(1, from: 0, tag: tag(0, over: true))
        #expect(onlyPriority == flood(bare: [], .remove, tagged: [3], .replace(10)))
        table.detach(3)
        #expect(table.broadcast(1, from: 4, tag: tag(10, over: true)) == .drop(.doubleTag))
        _ = table.broadcast(9, from: 0)
        #expect(table.send(1, to: 9, from: 4, tag: tag(10, over: true)) == .drop(.doubleTag))
        #expect(table.counters(4).dropped(.doubleTag) == 2)
    }

    @Test("A provider's tag is refused where VLANs are told apart", arguments: [0, 3, 4])
    func foreign(port: Int) {
        var table = fullSwitch(Self.ports)
        #expect(table.broadcast(1, from: port, tag: .foreign) == .drop(.vlan))
    }

    @Test("A switch without VLANs lets every tag pass as it is")
    func transparent() {
        var table = fullSwitch([PortVLANs](repeating: .transparent, count: 3))
        for tag in [tag(0, priority: 6), tag(0, over: true), .foreign, .none] {
            let verdict = table.broadcast(1, from: 0, tag: tag)
            #expect(verdict == flood(bare: [1, 2], .none, tagged: [], .none))
        }
        for tag in [tag(7), tag(4094, priority: 6), tag(7, over: true)] {
            let verdict = table.broadcast(1, from: 0, tag: tag)
            #expect(verdict == flood(bare: [], .remove, tagged: [1, 2], .none))
        }
    }

    @Test("A guest that comes gets its own VLAN's frames only")
    func comes() {
        var table = SwitchTable(ports: Self.ports)
        table.attach(0)
        table.attach(2)
        #expect(table.broadcast(1, from: 0) == .drop(.noReceiver))
        table.attach(1)
        #expect(table.broadcast(1, from: 0).ports == [1])
    }
}
