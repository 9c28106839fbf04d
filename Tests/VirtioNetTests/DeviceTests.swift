import Testing
import VirtioNet
import VirtioSpec

@Suite("The network device as its driver sees it")
struct DeviceTests {
    static let mac = MACAddress(rawValue: 0x5634_1200_5452)

    @Test("The least that is offered")
    func least() {
        let device = NetDevice(
            NetOptions(mac: Self.mac, isMergeable: false, speed: NetOptions.speedUnknown))
        #expect(device.features == [.netMAC, .netStatus])
        #expect(device.queueCount == 2)
        #expect(device.largestQueue == 1024)
    }

    @Test("Everything that is offered")
    func everything() {
        let device = NetDevice(
            NetOptions(
                mac: Self.mac, mtu: 9000, pairs: 4, takes: .all, gives: .all,
                hasControlQueue: true))
        #expect(
            device.features == [
                .netMAC, .netStatus, .netMTU, .netSpeedDuplex, .netMergeableBuffers,
                .netChecksum, .netHostTSO4, .netHostTSO6, .netHostECN, .netHostUSO,
                .netGuestChecksum, .netGuestTSO4, .netGuestTSO6, .netGuestECN, .netGuestUSO4,
                .netGuestUSO6, .netControlQueue, .netControlReceiveMode,
                .netControlReceiveModeExtra, .netControlVLAN, .netControlMAC,
                .netControlGuestOffloads, .netGuestAnnounce, .netMultiqueue,
            ])
        #expect(device.queueCount == 9)
    }

    @Test("No feature is offered without those it needs", arguments: 0..<32 as Range<UInt8>)
    func dependencies(rawValue: UInt8) {
        let offloads = NetOffloads(rawValue: rawValue)
        for (pairs, hasControlQueue) in [(1, false), (1, true), (3, false), (3, true)] {
            let features =
                NetDevice(
                    NetOptions(
                        mac: Self.mac, pairs: pairs, takes: offloads, gives: offloads,
                        hasControlQueue: hasControlQueue)
                ).features
            let has = { (feature: Features) in features.contains(feature) }
            // virtio 1.3 §5.1.3.1.
            for feature: Features in [.netGuestTSO4, .netGuestTSO6, .netGuestUSO4, .netGuestUSO6] {
                #expect(!has(feature) || has(.netGuestChecksum))
            }
            for feature: Features in [.netHostTSO4, .netHostTSO6, .netHostUSO] {
                #expect(!has(feature) || has(.netChecksum))
            }
            #expect(!has(.netGuestECN) || has(.netGuestTSO4) || has(.netGuestTSO6))
            #expect(!has(.netHostECN) || has(.netHostTSO4) || has(.netHostTSO6))
            for feature: Features in [
                .netControlReceiveMode, .netControlReceiveModeExtra, .netControlVLAN,
                .netControlMAC, .netControlGuestOffloads, .netGuestAnnounce,
            ] {
                #expect(!has(feature) || has(.netControlQueue))
            }
            // A VMM that keeps the control queue offers it, and needs MQ from us.
            #expect(has(.netMultiqueue) == (pairs > 1))
            #expect(has(.netControlQueue) == hasControlQueue)
            #expect(has(.netChecksum) == offloads.contains(.checksum))
            #expect(has(.netHostTSO4) == offloads.isSuperset(of: [.checksum, .tcp4]))
            #expect(has(.netGuestTSO6) == offloads.isSuperset(of: [.checksum, .tcp6]))
            #expect(has(.netHostUSO) == offloads.isSuperset(of: [.checksum, .udpDatagrams]))
        }
    }

    @Test("What the port takes and what it gives are two things")
    func directions() {
        let takes = NetDevice(NetOptions(mac: Self.mac, takes: .all)).features
        #expect(takes.isSuperset(of: [.netChecksum, .netHostTSO4]))
        #expect(takes.isDisjoint(with: [.netGuestChecksum, .netGuestTSO4, .netGuestUSO4]))
        let gives = NetDevice(NetOptions(mac: Self.mac, gives: .all)).features
        #expect(gives.isSuperset(of: [.netGuestChecksum, .netGuestTSO4]))
        #expect(gives.isDisjoint(with: [.netChecksum, .netHostTSO4, .netHostUSO]))
    }

    @Test("The configuration space")
    func configuration() {
        let device = NetDevice(
            NetOptions(
                mac: Self.mac, mtu: 9000, pairs: 3, speed: 0x0102_0304, isFullDuplex: true))
        let expected: [UInt8] = [
            0x52, 0x54, 0, 0x12, 0x34, 0x56, 1, 0, 3, 0, 0x28, 0x23, 4, 3, 2, 1, 1,
        ]
        #expect(device.configuration == expected)
        device.isLinkUp = false
        #expect(!device.isLinkUp)
        #expect(device.configuration[6...7] == [0, 0])
        device.isLinkUp = true
        #expect(device.configuration == expected)
        let half = NetDevice(NetOptions(mac: Self.mac, isFullDuplex: false)).configuration
        #expect(half[10...11] == [0, 0])
        #expect(half[16] == 0)
    }

    @Test("The header's length follows from what was accepted")
    func headerBytes() {
        let device = NetDevice(NetOptions(mac: Self.mac))
        #expect(device.headerBytes == 10)
        for (features, bytes, isMergeable) in [
            ([], 10, false), (.version1, 12, false), (.netMergeableBuffers, 12, true),
            ([.version1, .netMergeableBuffers], 12, true),
        ] as [(Features, Int, Bool)] {
            device.accept(features)
            #expect(device.headerBytes == bytes)
            #expect(device.isMergeable == isMergeable)
        }
        device.reset()
        #expect(device.headerBytes == 10)
        #expect(!device.isMergeable)
    }

    @Test("Offloads that were accepted, with what they need")
    func offloads() {
        let device = NetDevice(NetOptions(mac: Self.mac, takes: .all, gives: .all))
        #expect(device.guestTakes == [] && device.guestGives == [])
        let cases: [(Features, takes: NetOffloads, gives: NetOffloads)] = [
            (.netGuestChecksum, .checksum, []),
            (.netChecksum, [], .checksum),
            ([.netGuestTSO4, .netHostTSO4, .netGuestUSO4, .netGuestUSO6], [], []),
            ([.netGuestChecksum, .netGuestTSO4], [.checksum, .tcp4], []),
            ([.netGuestChecksum, .netGuestECN], .checksum, []),
            ([.netGuestChecksum, .netGuestTSO6, .netGuestECN], [.checksum, .tcp6, .ecn], []),
            ([.netGuestChecksum, .netGuestUSO4], .checksum, []),
            ([.netGuestChecksum, .netGuestUSO6], .checksum, []),
            ([.netGuestChecksum, .netGuestUSO4, .netGuestUSO6], [.checksum, .udpDatagrams], []),
            ([.netChecksum, .netHostTSO4, .netHostECN], [], [.checksum, .tcp4, .ecn]),
            ([.netChecksum, .netHostTSO6, .netHostUSO], [], [.checksum, .tcp6, .udpDatagrams]),
            (device.features, .all, .all),
        ]
        for (features, takes, gives) in cases {
            device.accept(features)
            #expect(device.guestTakes == takes, "\(features)")
            #expect(device.guestGives == gives, "\(features)")
        }
        device.reset()
        #expect(device.guestTakes == [] && device.guestGives == [])
    }

    @Test("The control queue follows the last pair, or the first where there is no MQ")
    func controlQueue() {
        let device = NetDevice(NetOptions(mac: Self.mac, pairs: 4, hasControlQueue: true))
        #expect(device.pairCount == 4)
        #expect(device.controlQueue == nil)
        device.accept([.netMultiqueue])
        #expect(device.controlQueue == nil)
        device.accept([.netControlQueue])
        #expect(device.controlQueue == 2)
        device.accept([.netControlQueue, .netMultiqueue])
        #expect(device.controlQueue == 8)
    }

    @Test("Pairs in use: all where the VMM looks after them, else one until the driver says more")
    func activePairs() {
        let device = NetDevice(NetOptions(mac: Self.mac, pairs: 4, hasControlQueue: true))
        #expect(device.activePairs == 1)
        device.accept([.netControlQueue])
        #expect(device.activePairs == 1)
        device.accept([.netMultiqueue])
        #expect(device.activePairs == 4)
        // Accepted, but is it here?
        device.accept([.netControlQueue, .netMultiqueue])
        #expect(device.activePairs == 4)
        device.isControlQueueRunning = true
        #expect(device.isControlQueueRunning && device.activePairs == 1)
        #expect(device.control(4, 0, [3, 0]) == .ok)
        #expect(device.activePairs == 3)
        device.isControlQueueRunning = false
        #expect(device.activePairs == 3)
        device.reset()
        #expect(device.activePairs == 1)
    }

    @Test("The front-end's MTU is one that a device may have, and the operator allows")
    func mtu() {
        let free = NetDevice(NetOptions(mac: Self.mac))
        #expect(free.mtu == nil)
        #expect([0, 67].map(free.setMTU) == [false, false])
        #expect(free.mtu == nil)
        #expect([68, 1500, 65_535].map(free.setMTU) == [true, true, true])
        #expect(free.mtu == 65_535)
        let bound = NetDevice(NetOptions(mac: Self.mac, mtu: 1500))
        #expect([67, 1501, 9000].map(bound.setMTU) == [false, false, false])
        #expect(bound.mtu == 1500)
        #expect([68, 1500, 1400].map(bound.setMTU) == [true, true, true])
        #expect(bound.configuration[10...11] == [0x78, 0x05])
        // It is the front-end's word, not the driver's.
        bound.reset()
        #expect(bound.mtu == 1400)
    }

    @Test("A legacy driver may write its address, and nothing else; a modern one nothing")
    func writes() {
        let device = NetDevice(NetOptions(mac: Self.mac, hasControlQueue: true))
        let before = device.configuration
        device.accept(.version1)
        #expect(!device.writeConfiguration([1], at: 0))
        device.accept([])
        for (bytes, offset) in [
            ([], 0), ([1], 6), ([1, 2], 5), ([1], 8), ([1], -1), ([1, 2, 3, 4, 5, 6, 7], 0),
        ] as [([UInt8], Int)] {
            #expect(!device.writeConfiguration(bytes, at: offset))
        }
        #expect(device.configuration == before)
        #expect(device.writeConfiguration([0x02], at: 0))
        #expect(device.writeConfiguration([7, 8], at: 4))
        #expect(device.configuration[0..<6] == [0x02, 0x54, 0, 0x12, 7, 8])
        #expect("\(device.mac)" == "02:54:00:12:07:08")
        device.reset()
        #expect(device.configuration == before)
    }
}
