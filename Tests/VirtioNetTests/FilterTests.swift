import Host
import Randomness
import Synchronization
import Testing
import VirtioNet
import VirtioSpec

@Suite("The driver gets the packets it asked for")
struct FilterTests {
    private static let everybody = MACAddress(rawValue: 0xffff_ffff_ffff)

    @Test("All, until it says something")
    func allAtFirst() {
        let device = ControlTests.device()
        let addresses: [UInt64] = [0, 1, 2, 0xffff_ffff_ffff]
        for address in addresses.map({ MACAddress(rawValue: $0) }) {
            for vlan in [nil, 0, 7, 4095] as [UInt16?] {
                #expect(device.receives(address, vlan: vlan))
            }
        }
        // That it is not promiscuous is a word.
        #expect(device.control(0, 0, [0]) == .ok)
        #expect(!device.receives(MACAddress(rawValue: 2), vlan: nil))
        #expect(!device.receives(DeviceTests.mac, vlan: 7))
        #expect(device.receives(DeviceTests.mac, vlan: nil))
        device.reset()
        device.accept(device.features)
        #expect(device.receives(MACAddress(rawValue: 2), vlan: 7))
    }

    @Test("A driver that can't say what it wants gets all, whatever the one before it said")
    func nextDriver() {
        let device = ControlTests.device()
        #expect(device.control(0, 0, [0]) == .ok)
        device.accept([.version1, .netControlQueue])
        #expect(device.receives(MACAddress(rawValue: 2), vlan: 7))
        device.accept([.version1, .netControlReceiveMode])
        #expect(device.receives(MACAddress(rawValue: 2), vlan: 7))
        // It can, but not of VLANs.
        device.accept([.version1, .netControlQueue, .netControlReceiveMode])
        #expect(!device.receives(MACAddress(rawValue: 2), vlan: nil))
        #expect(device.receives(DeviceTests.mac, vlan: 7))
    }

    /// What the driver has said, and what it means, in sets.
    private struct Model {
        var modes: Set<UInt8> = [0]
        var own = DeviceTests.mac
        var unicast: [MACAddress] = []
        var multicast: [MACAddress] = []
        var vlans: Set<UInt16> = [0]

        func receives(_ address: MACAddress, _ vlan: UInt16?) -> Bool {
            if modes.contains(0) { return true }
            if let vlan, !vlans.contains(vlan) { return false }
            if address == FilterTests.everybody { return !modes.contains(5) }
            if address.isMulticast {
                if modes.contains(3) { return false }
                return modes.contains(1) || multicast.count > 64 || multicast.contains(address)
            }
            if modes.contains(4) { return false }
            return modes.contains(2) || address == own || unicast.count > 64
                || unicast.contains(address)
        }

        /// Tells the device, and remembers, one thing more.
        mutating func say(_ device: NetDevice, _ random: inout Seeded) -> NetControlAnswer {
            switch Int.random(in: 0...5, using: &random) {
            case 0, 1:
                let mode = UInt8.random(in: 0...5, using: &random)
                // Seldom all, so that the rest comes to count.
                let isOn = Int.random(in: 0...3, using: &random) == 0
                if isOn { modes.insert(mode) } else { modes.remove(mode) }
                return device.control(0, mode, [isOn ? 1 : 0])
            case 2:
                unicast = Self.addresses(0, &random)
                multicast = Self.addresses(1, &random)
                let tables: [UInt8] = [unicast, multicast].flatMap {
                    [UInt8($0.count), 0, 0, 0] + $0.flatMap(\.bytes)
                }
                return device.control(1, 0, tables)
            case 3:
                own = FilterTests.address(0, &random)
                return device.control(1, 1, own.bytes)
            default:
                let vlan = UInt16([1, 2, 63, 64, 4095][Int.random(in: 0...4, using: &random)])
                let isMember = Bool.random(using: &random)
                if isMember { vlans.insert(vlan) } else { vlans.remove(vlan) }
                return device.control(
                    2, isMember ? 0 : 1, [UInt8(vlan & 0xff), UInt8(vlan >> 8)])
            }
        }

        private static func addresses(_ group: UInt64, _ random: inout Seeded) -> [MACAddress] {
            let counts = [0, 1, 5, 63, 64, 65, 200]
            let count = counts[Int.random(in: 0..<counts.count, using: &random)]
            return (0..<count).map { _ in FilterTests.address(group, &random) }
        }
    }

    /// One of so few that they meet.
    private static func address(_ group: UInt64, _ random: inout Seeded) -> MACAddress {
        MACAddress(rawValue: UInt64.random(in: 0...300, using: &random) << 40 | group)
    }

    @Test("Whatever it says, it gets just that", arguments: 0..<10)
    func model(stream: Int) {
        var random = Seeded(6000 + stream)
        let device = ControlTests.device()
        var model = Model()
        var refused = 0
        for _ in 0..<400 {
            #expect(model.say(device, &random) == .ok)
            for _ in 0..<20 {
                let group = UInt64.random(in: 0...1, using: &random)
                let address =
                    Int.random(in: 0...7, using: &random) == 0
                    ? Self.everybody : Self.address(group, &random)
                let vlans: [UInt16?] = [nil, nil, nil, 0, 1, 2, 3, 63, 64, 65, 4095, 4096]
                let vlan = vlans[Int.random(in: 0..<vlans.count, using: &random)]
                let isWanted = model.receives(address, vlan)
                refused += isWanted ? 0 : 1
                #expect(device.receives(address, vlan: vlan) == isWanted, "\(random.note)")
            }
        }
        #expect(refused > 100, "\(random.note)")
    }

    @Test("An address that stays in the table is never missed while the table is replaced")
    func replaced() throws {
        let device = ControlTests.device()
        #expect(device.control(0, 0, [0]) == .ok)
        let stays = MACAddress(rawValue: 0x2)
        let others = (1...20).map { MACAddress(rawValue: $0 << 8) }
        let tables = [[stays] + others, others + [stays]].map {
            [UInt8($0.count), 0, 0, 0] + $0.flatMap(\.bytes) + [0, 0, 0, 0]
        }
        #expect(device.control(1, 0, tables[0]) == .ok)
        let isOver = Atomic<Bool>(false)
        let turns = Atomic<Int>(0)
        let thread = try Thread(name: "driver") {
            while !isOver.load(ordering: .relaxed) {
                for table in tables { _ = device.control(1, 0, table) }
                turns.add(1, ordering: .relaxed)
            }
        }
        var missed = 0
        var asked = 0
        while asked < 200_000 || turns.load(ordering: .relaxed) < 500 {
            missed += device.receives(stays, vlan: nil) ? 0 : 1
            asked += 1
        }
        isOver.store(true, ordering: .relaxed)
        thread.join()
        #expect(missed == 0)
        #expect(!device.receives(MACAddress(rawValue: 4), vlan: nil))
    }
}
