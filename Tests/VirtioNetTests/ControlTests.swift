import Randomness
import Testing
import VirtioNet
import VirtioSpec

@Suite("The control queue's commands")
struct ControlTests {
    /// A device whose driver has accepted everything, but for `features`.
    static func device(pairs: Int = 4, without features: Features = []) -> NetDevice {
        let device = NetDevice(
            NetOptions(
                mac: DeviceTests.mac, pairs: pairs, takes: .all, gives: .all,
                hasControlQueue: true))
        device.accept(device.features.subtracting(features).union(.version1))
        device.isControlQueueRunning = true
        return device
    }

    /// All that a command could have changed.
    struct State: Equatable {
        var configuration: [UInt8]
        var pairs: Int
        var takes: NetOffloads
        var gives: NetOffloads
        var received: [Bool]

        init(_ device: NetDevice) {
            configuration = device.configuration
            pairs = device.activePairs
            takes = device.guestTakes
            gives = device.guestGives
            let addresses: [UInt64] = [0xffff_ffff_ffff, 1, 0x3333, 2, 6, DeviceTests.mac.rawValue]
            let vlans: [UInt16?] = [nil, 0, 1, 2, 4095]
            received = addresses.flatMap { address in
                vlans.map { device.receives(MACAddress(rawValue: address), vlan: $0) }
            }
        }
    }

    /// One of each command that is taken, with the feature that it needs.
    static let commands: [(class: UInt8, command: UInt8, data: [UInt8], feature: Features)] = [
        (0, 0, [0], .netControlReceiveMode), (0, 1, [1], .netControlReceiveMode),
        (0, 2, [1], .netControlReceiveModeExtra), (0, 3, [1], .netControlReceiveModeExtra),
        (0, 4, [1], .netControlReceiveModeExtra), (0, 5, [1], .netControlReceiveModeExtra),
        (
            1, 0, [1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0],
            .netControlReceiveMode
        ),
        (1, 1, [2, 1, 2, 3, 4, 5], .netControlMAC),
        (2, 0, [1, 0], .netControlVLAN), (2, 1, [1, 0], .netControlVLAN),
        (3, 0, [], .netGuestAnnounce), (4, 0, [2, 0], .netMultiqueue),
        (5, 0, [2, 0, 0, 0, 0, 0, 0, 0], .netControlGuestOffloads),
    ]

    @Test(
        "Each is taken as it is, and not cut short, too long, or without its feature",
        arguments: 0..<13)
    func lengths(index: Int) {
        let (number, command, data, feature) = Self.commands[index]
        let device = Self.device()
        device.requestAnnounce()
        let before = State(device)
        for count in 0..<data.count {
            #expect(device.control(number, command, Array(data.prefix(count))) == .error)
        }
        for more in 1...9 {
            let long = data + [UInt8](repeating: 0, count: more)
            #expect(device.control(number, command, long) == .error)
        }
        #expect(State(device) == before)
        #expect(device.control(number, command, data) == .ok)
        for missing in [feature, .netControlQueue] {
            let lacking = Self.device(without: missing)
            lacking.requestAnnounce()
            let before = State(lacking)
            #expect(lacking.control(number, command, data) == .error)
            #expect(State(lacking) == before)
        }
    }

    @Test("Unknown classes and commands change nothing")
    func unknown() {
        let device = Self.device()
        device.requestAnnounce()
        let before = State(device)
        let known = Set(Self.commands.map { [$0.class, $0.command] })
        for number in UInt8.min...UInt8.max {
            for command in UInt8.min...UInt8.max where !known.contains([number, command]) {
                for data in [[], [1], [1, 0], [2, 0, 0, 0, 0, 0]] as [[UInt8]] {
                    guard device.control(number, command, data) == .error else {
                        Issue.record("class \(number), command \(command)")
                        return
                    }
                }
            }
        }
        #expect(State(device) == before)
    }

    @Test("Pairs: as many as there are, and not one more")
    func pairs() {
        let device = Self.device(pairs: 4)
        #expect(device.activePairs == 1)
        for pairs: UInt8 in [1, 4, 2] {
            #expect(device.control(4, 0, [pairs, 0]) == .ok)
            #expect(device.activePairs == Int(pairs))
        }
        for data: [UInt8] in [[0, 0], [5, 0], [0, 1], [0, 0x80], [0xff, 0xff], [2, 1]] {
            #expect(device.control(4, 0, data) == .error)
            #expect(device.activePairs == 2)
        }
        // The driver is the same after its front-end has come back.
        device.accept(device.features)
        #expect(device.activePairs == 2)
        device.reset()
        device.accept(device.features)
        #expect(device.activePairs == 1)
        #expect(Self.device(pairs: 1).control(4, 0, [1, 0]) == .error)
    }

    private static func offloads(_ features: Features) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: features.rawValue >> (8 * $0)) }
    }

    @Test("Offloads to the driver: turned off and on, within what it accepted")
    func guestOffloads() {
        let device = Self.device(without: .netGuestTSO6)
        let all: NetOffloads = [.checksum, .tcp4, .ecn, .udpDatagrams]
        #expect(device.guestTakes == all)
        let cases: [(Features, NetOffloads)] = [
            ([], []), (.netGuestChecksum, .checksum), (.netGuestTSO4, []),
            ([.netGuestChecksum, .netGuestTSO4], [.checksum, .tcp4]),
            ([.netGuestChecksum, .netGuestECN], .checksum),
            ([.netGuestChecksum, .netGuestUSO4], .checksum),
            ([.netGuestChecksum, .netGuestUSO4, .netGuestUSO6], [.checksum, .udpDatagrams]),
        ]
        for (features, takes) in cases {
            #expect(device.control(5, 0, Self.offloads(features)) == .ok)
            #expect(device.guestTakes == takes)
        }
        let before = State(device)
        for features: Features in [
            .netGuestTSO6, [.netGuestChecksum, .netGuestTSO6], .netChecksum, .netHostTSO4, .netMAC,
            .netGuestUFO, Features(rawValue: .max),
        ] {
            #expect(device.control(5, 0, Self.offloads(features)) == .error)
        }
        #expect(State(device) == before)
        #expect(device.guestGives == .all)
        // Kept where the front-end comes back, and forgotten with the driver.
        #expect(device.control(5, 0, Self.offloads(.netGuestChecksum)) == .ok)
        device.accept(device.features)
        #expect(device.guestTakes == .checksum)
        device.reset()
        device.accept(device.features)
        #expect(device.guestTakes == .all)
    }

    @Test("An announcement is asked for until it is acknowledged")
    func announce() {
        let device = Self.device()
        #expect(device.control(3, 0, []) == .error)
        #expect(device.requestAnnounce())
        #expect(device.configuration[6] == 3)
        device.isLinkUp = false
        #expect(device.configuration[6] == 2)
        #expect(device.control(3, 0, []) == .ok)
        #expect(device.configuration[6] == 0)
        #expect(device.control(3, 0, []) == .error)
        device.isLinkUp = true
        #expect(device.requestAnnounce())
        device.reset()
        #expect(device.configuration[6] == 1)
        for missing: Features in [.netGuestAnnounce, .netStatus, .netControlQueue] {
            let other = Self.device(without: missing)
            #expect(!other.requestAnnounce())
            #expect(other.configuration[6] == 1)
        }
        let elsewhere = Self.device()
        elsewhere.isControlQueueRunning = false
        #expect(!elsewhere.requestAnnounce())
        #expect(elsewhere.configuration[6] == 1)
    }

    @Test("The driver's address")
    func address() {
        let device = Self.device()
        #expect(device.control(1, 1, [2, 1, 2, 3, 4, 5]) == .ok)
        #expect(device.configuration[0..<6] == [2, 1, 2, 3, 4, 5])
        let before = State(device)
        #expect(device.control(1, 1, [3, 1, 2, 3, 4, 5]) == .error)
        #expect(device.control(1, 1, [UInt8](repeating: 0xff, count: 6)) == .error)
        #expect(State(device) == before)
        device.reset()
        #expect(device.mac == DeviceTests.mac)
    }

    @Test("Tables whose counts are not what follows")
    func tables() {
        let device = Self.device()
        #expect(device.control(0, 0, [0]) == .ok)
        let one: [UInt8] = [2, 0, 0, 0, 0, 0]
        #expect(device.control(1, 0, [1, 0, 0, 0] + one + [0, 0, 0, 0]) == .ok)
        let before = State(device)
        #expect(before.received[3 * 5])
        for data: [UInt8] in [
            [0, 0, 0, 0], [1, 0, 0, 0] + one, [1, 0, 0, 0] + one + [0, 0, 0],
            [0, 0, 0, 0, 1, 0, 0, 0], [2, 0, 0, 0] + one + [0, 0, 0, 0],
            [0, 0, 0, 0] + one + [0, 0, 0, 0], [0xff, 0xff, 0xff, 0xff] + one + [0, 0, 0, 0],
            [0x56, 0x55, 0x55, 0x55] + one + [0, 0, 0, 0], [0, 0, 0, 0x80] + one + [0, 0, 0, 0],
            [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff] + one, [0, 0, 0, 0, 0, 0, 0, 0, 0],
        ] {
            #expect(device.control(1, 0, data) == .error, "\(data)")
            #expect(State(device) == before, "\(data)")
        }
    }

    @Test("Values out of range")
    func range() {
        let device = Self.device()
        let before = State(device)
        for value: UInt8 in [2, 0x80, 0xff] {
            for command in UInt8(0)...5 { #expect(device.control(0, command, [value]) == .error) }
        }
        for command in UInt8(0)...1 {
            #expect(device.control(2, command, [0, 0x10]) == .error)
            #expect(device.control(2, command, [0xff, 0xff]) == .error)
        }
        #expect(State(device) == before)
    }

    @Test("No command can trap the device, or leave it with more pairs than it has")
    func noise() {
        var random = Seeded()
        let device = Self.device()
        var taken = 0
        for _ in 0..<50_000 {
            let number = UInt8.random(in: 0...6, using: &random)
            let command = UInt8.random(in: 0...6, using: &random)
            let data = random.bytes(Int.random(in: 0...40, using: &random)).map { $0 & 3 }
            taken += device.control(number, command, data) == .ok ? 1 : 0
            guard (1...4).contains(device.activePairs) else {
                Issue.record("\(device.activePairs) pairs, \(random.note)")
                return
            }
        }
        #expect(taken > 100, "\(random.note)")
        #expect(!device.mac.isMulticast)
    }
}
