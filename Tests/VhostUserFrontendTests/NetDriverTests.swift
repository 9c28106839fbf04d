import Host
import Testing
import VirtioSpec

@testable import VhostUserFrontend

private func bits(_ numbers: Int...) -> UInt64 { numbers.reduce(0) { $0 | 1 << UInt64($1) } }

@Suite("A network driver's handshake")
struct NetDriverTests {
    /// VERSION_1, protocol features, MQ, mergeable buffers, control queue, TSO4 out, packed.
    private static let offered = bits(32, 30, 22, 15, 17, 18, 11, 0, 34)

    /// A device with so many pairs. Replies are acknowledged, and the configuration is told.
    private func backend(pairs: UInt16 = 4, offered: UInt64 = offered) throws -> ScriptedBackend {
        let config =
            [1, 2, 3, 4, 5, 6] + Bytes.of(UInt16(1)) + Bytes.of(pairs) + Bytes.of(UInt16(9000))
            + Bytes.of(UInt32(10_000)) + [1]
        let header = Bytes.of(UInt32(0)) + Bytes.of(UInt32(17)) + Bytes.of(UInt32(0))
        return try ScriptedBackend([
            1: Bytes.of(offered), 15: Bytes.of(bits(9, 3, 0, 16)),
            17: Bytes.of(UInt64(pairs)), 24: header + config,
            11: Bytes.of(UInt32(0)) + Bytes.of(UInt32(0)),
        ])
    }

    /// What a back-end was told by a driver with these options.
    private func handshake(
        _ backend: ScriptedBackend, _ change: (inout NetDriver.Options) -> Void = { _ in },
        _ use: (NetDriver) throws -> Void = { _ in }
    ) throws -> [FrontendConnection.Message] {
        func drive() throws {
            var options = NetDriver.Options()
            change(&options)
            try use(NetDriver(backend.connect(), GuestRAM(byteCount: 4 << 20), options))
        }
        // The driver is gone when this returns, and its connection with it.
        try drive()
        return backend.messages()
    }

    private func features(_ messages: [FrontendConnection.Message]) -> UInt64? {
        messages.first { $0.request == 2 }?.number
    }

    /// The rings that a message was sent for, in order.
    private func rings(
        _ messages: [FrontendConnection.Message], _ request: UInt32
    ) -> [UInt32] {
        messages.filter { $0.request == request }.map { Bytes.u32($0.payload, at: 0) }
    }

    @Test("One pair, and what is accepted of the offer")
    func plain() throws {
        let messages = try handshake(try backend()) { _ in
        } _: { driver in
            #expect(driver.headerBytes == 12)
            #expect(driver.isMergeable)
            #expect(driver.controlIndex == nil)
            let config = try #require(try driver.configuration())
            #expect(config.mac == [1, 2, 3, 4, 5, 6])
            #expect((config.status, config.pairCount, config.mtu) == (1, 4, 9000))
            #expect((config.speed, config.duplex) == (10_000, 1))
        }
        #expect(features(messages) == bits(32, 30, 15))
        // Not STATUS, for which nobody here speaks.
        #expect(messages.first { $0.request == 16 }?.number == bits(9, 3, 0))
        #expect(rings(messages, 12) == [0, 1])
        #expect(rings(messages, 18) == [0, 1])
    }

    @Test("Features come before memory, and memory before rings")
    func order() throws {
        let messages = try handshake(try backend())
        let order = messages.map(\.request)
        let places = try [2, 5, 8, 10, 9, 14, 13, 12, 18].map { request in
            try #require(order.firstIndex(of: request), "no message \(request)")
        }
        #expect(places == places.sorted())
    }

    @Test("More pairs need MQ, and the control queue follows those that the device has")
    func pairs() throws {
        let messages = try handshake(try backend()) {
            $0.pairs = 2
            $0.controlQueue = true
        } _: { driver in
            #expect(driver.controlIndex == 8)
            #expect(driver.queues.count == 5)
            #expect(driver.receiveQueue(1) === driver.queues[2])
            #expect(driver.transmitQueue(1) === driver.queues[3])
        }
        #expect(rings(messages, 12) == [0, 1, 2, 3, 8])
        #expect(features(messages) == bits(32, 30, 22, 15, 17, 18))
    }

    @Test("Without MQ the control queue follows the first pair")
    func controlWithoutPairs() throws {
        let messages = try handshake(try backend()) { $0.controlQueue = true }
        #expect(rings(messages, 12) == [0, 1, 2])
    }

    @Test("More pairs than one are refused where there is no MQ")
    func noMultiqueue() throws {
        let offered = Self.offered & ~(1 << 22)
        #expect(throws: FrontendError.notOffered(.netMultiqueue)) {
            try handshake(try backend(offered: offered)) { $0.pairs = 2 }
        }
    }

    @Test("Offloads bit by bit, packed rings, and no mergeable buffers")
    func choices() throws {
        let messages = try handshake(try backend()) {
            $0.offloads = [.netHostTSO4, .netGuestTSO6]
            $0.packed = true
            $0.mergeable = false
        } _: { driver in
            #expect(driver.headerBytes == 12)
            #expect(!driver.isMergeable)
            #expect(driver.queues.allSatisfy { $0 is PackedDriverQueue })
        }
        #expect(features(messages) == bits(32, 30, 11, 34))
    }

    @Test("The header of a legacy driver", arguments: [(true, 12), (false, 10)])
    func legacy(mergeable: Bool, headerBytes: Int) throws {
        _ = try handshake(try backend()) {
            $0.legacy = true
            $0.mergeable = mergeable
        } _: { driver in
            #expect(driver.headerBytes == headerBytes)
            #expect(!driver.features.contains(.version1))
        }
    }

    @Test("Queues that others make are not started")
    func noQueues() throws {
        let messages = try handshake(try backend()) { $0.makesQueues = false }
        #expect(rings(messages, 12).isEmpty)
    }

    @Test("An MTU and an announcement, as the back-end reads them")
    func messages() throws {
        let messages = try handshake(try backend()) { _ in
        } _: { driver in
            try driver.connection.setMTU(9000)
            try driver.connection.sendRARP([2, 1, 0, 0, 0, 9])
        }
        #expect(messages.first { $0.request == 20 }?.payload == [0x28, 0x23, 0, 0, 0, 0, 0, 0])
        #expect(messages.first { $0.request == 19 }?.payload == [2, 1, 0, 0, 0, 9, 0, 0])
    }
}
