import Host
import Testing
import VirtioSpec

@testable import VhostUserFrontend

@Suite("A driver goes on with the next back-end as QEMU does")
struct ReconnectTests {
    /// VERSION_1, the protocol's own features and packed rings; REPLY_ACK and INFLIGHT_SHMFD.
    private static let features: UInt64 = 1 << 32 | 1 << 30 | 1 << 34
    private static let protocolFeatures: UInt64 = 1 << 3 | 1 << 12
    private static let region =
        Bytes.of(UInt64(8192)) + Bytes.of(UInt64(4096)) + Bytes.of(UInt16(2))
        + Bytes.of(UInt16(64)) + Bytes.of(UInt32(0))

    private func backend(
        features: UInt64 = features, protocolFeatures: UInt64 = protocolFeatures,
        base: UInt32 = 0, file: Int32? = nil
    ) throws -> ScriptedBackend {
        try ScriptedBackend(
            [
                1: Bytes.of(features), 15: Bytes.of(protocolFeatures), 31: Self.region,
                11: Bytes.of(UInt32(0)) + Bytes.of(base),
            ], files: file.map { [31: $0] } ?? [:])
    }

    private func driver(
        _ backend: ScriptedBackend, _ change: (inout BlockDriver.Options) -> Void = { _ in }
    ) throws -> BlockDriver {
        var options = BlockDriver.Options()
        options.keepsInflight = true
        options.queueSize = 64
        options.arenaBytes = 4096
        change(&options)
        return try BlockDriver(backend.connect(), GuestRAM(byteCount: 1 << 20), options)
    }

    /// What rings' bases were told, in order.
    private func bases(_ backend: ScriptedBackend) -> [UInt32] {
        backend.messages().filter { $0.request == 10 }.map { Bytes.u32($0.payload, at: 4) }
    }

    @Test("The next one is told all in QEMU's order, and given the first one's region")
    func order() throws {
        let memory = try SharedMemory(count: 12_288)
        let first = try backend(file: memory.descriptor.raw)
        let next = try backend()
        try {
            let driver = try driver(first) {
                $0.queues = 2
                $0.start = 5
            }
            let region = try #require(driver.inflight)
            #expect(region.byteCount == 8192 && region.fileOffset == 4096)
            #expect(region.queueCount == 2 && region.queueSize == 64)
            driver.splitQueues[0].setUsedIndex(9)
            try driver.reconnect(next.connect())
        }()
        let asked = try #require(first.messages().first { $0.request == 31 })
        #expect(Bytes.u16(asked.payload, at: 16) == 2 && Bytes.u16(asked.payload, at: 18) == 64)
        // What the device had given back on each is where it goes on.
        #expect(bases(next) == [9, 5])
        let ring: [UInt32] = [8, 10, 9, 14, 13, 12, 18]
        #expect(next.messages().map(\.request) == [1, 15, 16, 3, 2, 32, 5] + ring + ring)
        let given = try #require(next.messages().first { $0.request == 32 })
        #expect(given.payload == Self.region)
        #expect(try next.inode(.setInflightFD) == memory.descriptor.facts().inode)
    }

    @Test("A packed ring's base is the last that was known, told or given")
    func packedBase() throws {
        let given = PackedRingBase(at: 3, wrap: false).rawValue
        let first = try backend(base: given)
        let (second, third) = (try backend(), try backend())
        try {
            let driver = try driver(first) {
                $0.packed = true
                $0.keepsInflight = false
            }
            let queue = driver.packedQueues[0]
            #expect(queue.offer([.readable(0, 512)], token: 0) != nil)
            queue.publish()
            try driver.reconnect(second.connect())
            #expect(driver.inflight == nil)
        }()
        #expect(bases(second) == [PackedRingBase.fresh.rawValue])
        try {
            let driver = try driver(backend(base: given)) {
                $0.packed = true
                $0.keepsInflight = false
            }
            #expect(try driver.stop() == [given])
            try driver.reconnect(third.connect())
        }()
        #expect(bases(third) == [given])
    }

    @Test("Nothing is said of regions where none is offered, or none is wanted")
    func untracked() throws {
        for (offered, wants) in [(true, false), (false, true)] {
            let backend = try backend(protocolFeatures: offered ? Self.protocolFeatures : 1 << 3)
            try {
                let driver = try driver(backend) { $0.keepsInflight = wants }
                #expect(driver.inflight == nil)
            }()
            let requests = backend.messages().map(\.request)
            #expect(!requests.contains(31) && !requests.contains(32))
        }
    }

    @Test("A reply that brings no region is none")
    func noRegion() throws {
        #expect(throws: FrontendError.badReply(31, 24)) { try driver(backend()) }
    }

    @Test("A back-end that offers less than the last one is refused")
    func offersLess() throws {
        let driver = try driver(backend()) {
            $0.keepsInflight = false
            $0.packed = true
        }
        let less = try backend(features: 1 << 32 | 1 << 30)
        #expect(throws: FrontendError.notOffered(.packedRing)) {
            try driver.reconnect(less.connect())
        }
    }
}
