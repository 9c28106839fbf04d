import Host
import HostNetwork
import NetPorts
import Randomness
import Testing
import VhostUserFrontend
import VhostUserServer
import VirtioSpec

@Suite("Between a guest's rings and a real TAP")
struct NetTapTests {
    /// Runs `body` with a back-end on `tap0` in a namespace of its own.
    private func withTap(
        pairs: Int = 1, isFound: Bool = false, _ body: (NetBackend, TapPort) throws -> Void
    ) throws {
        try Namespace.own {
            if isFound { try make() }
            let port = try TapPort(name: "tap0", queues: pairs)
            for pair in 1..<pairs { port.detach(pair) }
            try address("tap0")
            try body(
                NetBackend(.tap(port)) {
                    $0.pairs = pairs
                    $0.takes = port.takes
                    $0.gives = port.gives
                }, port)
        }
    }

    private func make() throws {
        try run("ip tuntap add dev tap0 mode tap multi_queue")
    }

    @Test(
        "Datagrams go both ways, finished by whoever the guest leaves that to",
        arguments: NetShape.all, [false, true])
    func bothWays(shape: NetShape, leavesWork: Bool) throws {
        var random = Seeded()
        try withTap { backend, _ in
            let guest = try NetGuest(
                backend.driver {
                    shape.set(&$0)
                    if leavesWork { $0.offloads = .netOffloads }
                })
            let mac = try guest.findHost()
            let socket = try HostSocket(port: 7)
            let data = random.bytes(2500)
            let cuts = [1, 7, 30, Int.random(in: 1...200, using: &random)]
            try guest.send(
                Frame.datagram(to: mac, from: 9, port: 7, Array(data[..<1400])), cuts: cuts)
            #expect(socket.receive() == Array(data[..<1400]), "\(random.note)")
            if leavesWork {
                let half = NetGuest.unfinished(Array(data[..<900]), to: mac)
                try guest.send(half.frame, half.header)
                #expect(socket.receive() == Array(data[..<900]), "\(random.note)")
                let whole = NetGuest.unfinished(data, to: mac, segment: 1000)
                try guest.send(whole.frame, whole.header, cuts: cuts)
                for range in [0..<1000, 1000..<2000, 2000..<2500] {
                    #expect(socket.receive() == Array(data[range]), "\(random.note)")
                }
            }
            #expect(socket.send(data, to: 9, segment: 1000))
            if leavesWork {
                let packet = try guest.receive(Frame.isDatagram)
                #expect(packet.header.segmentation == NetSegmentation.udpDatagrams)
                #expect(packet.header.segmentBytes == 1000)
                #expect(Array(packet.frame[42...]) == data, "\(random.note)")
                if shape.mergeable { #expect(packet.header.bufferCount == 2) }
            } else {
                for range in [0..<1000, 1000..<2000, 2000..<2500] {
                    let packet = try guest.receive(Frame.isDatagram)
                    #expect(packet.header.flags & NetHeaderFlag.needsChecksum == 0)
                    #expect(Frame.isRight(packet.frame))
                    #expect(Array(packet.frame[42...]) == Array(data[range]), "\(random.note)")
                }
            }
        }
    }

    @Test(
        "A buffer without room for a header is given back empty", arguments: [1, 11], [false, true])
    func shortBuffer(bytes: Int, packed: Bool) throws {
        try withTap { backend, _ in
            let driver = try backend.driver { $0.packed = packed }
            try driver.offerBuffers(2, bytes: bytes)
            for _ in 0..<2 {
                try driver.receiveQueue().waitForUsed(milliseconds: 10_000)
                #expect(try driver.receiveQueue().reap()?.written == 0)
            }
            #expect(try NetGuest(driver).findHost().count == 6)
        }
    }

    @Test(
        "A packet that no buffer has room for is lost, and the buffer is there for the next",
        arguments: [NetShape(), NetShape(mergeable: false), NetShape(packed: true)])
    func smallBuffer(shape: NetShape) throws {
        try withTap { backend, _ in
            let guest = try NetGuest(backend.driver(shape.set), buffers: (count: 1, bytes: 200))
            let socket = try HostSocket(port: 7)
            for round in 0..<5 {
                #expect(socket.send([UInt8](repeating: 99, count: 500), to: 9))
                #expect(socket.send([UInt8](repeating: UInt8(round), count: 100), to: 9))
                let packet = try guest.receive(Frame.isDatagram)
                #expect(packet.frame[42...] == [UInt8](repeating: UInt8(round), count: 100)[...])
            }
        }
    }

    @Test("What a guest sends on a disabled ring is dropped; to a disabled one nothing comes")
    func disabled() throws {
        try withTap { backend, _ in
            let guest = try NetGuest(backend.driver())
            let mac = try guest.findHost()
            let socket = try HostSocket(port: 7)
            try guest.driver.connection.setVringEnable(1, 0)
            try guest.send(Frame.datagram(to: mac, from: 9, port: 7, [1]))
            try guest.driver.connection.setVringEnable(1, 1)
            try guest.send(Frame.datagram(to: mac, from: 9, port: 7, [2]))
            #expect(socket.receive() == [2])
            try guest.driver.connection.setVringEnable(0, 0)
            #expect(socket.send([3], to: 9))
            for number in 4..<24 {
                try guest.send(Frame.datagram(to: mac, from: 9, port: 7, [UInt8(number)]))
                #expect(socket.receive() == [UInt8(number)])
            }
            #expect(try !guest.hasReceived(Frame.isDatagram))
            try guest.driver.connection.setVringEnable(0, 1)
            #expect(try guest.receive(Frame.isDatagram).frame.last == 3)
        }
    }

    @Test("A flow comes back by the pair that it left by, and by another where that is disabled")
    func twoPairs() throws {
        try withTap(pairs: 2) { backend, _ in
            let guest = try NetGuest(backend.driver { $0.pairs = 2 })
            let mac = try guest.findHost()
            let socket = try HostSocket(port: 7)
            try expectOwnWay(guest, mac, socket)
            try disable(guest.driver, pair: 1)
            #expect(socket.send([8], to: 9))
            #expect(try guest.receive(Frame.isDatagram).frame.last == 8)
            try guest.driver.connection.setVringEnable(2, 1)
            try expectOwnWay(guest, mac, socket)
        }
    }

    /// Sends from each pair, and has it answered there.
    private func expectOwnWay(_ guest: NetGuest, _ mac: [UInt8], _ socket: HostSocket) throws {
        for pair in [1, 0, 1] {
            try guest.send(
                Frame.datagram(to: mac, from: 9, port: 7, [UInt8(pair)]), pair: pair)
            #expect(socket.receive() == [UInt8(pair)])
            #expect(socket.send([UInt8(pair)], to: 9))
            #expect(try guest.receive(pair: pair, Frame.isDatagram).frame.last == UInt8(pair))
        }
    }

    /// Disables a pair's ring into the guest, and waits until that has been seen.
    private func disable(_ driver: NetDriver, pair: UInt32) throws {
        // The second is taken after a breath without the first.
        for _ in 0..<2 { try driver.connection.setVringEnable(2 * pair, 0) }
    }

    @Test(
        "A TAP that is deleted while its rings run drops packets, and is found again",
        arguments: [1, 2], [false, true])
    func deleted(pairs: Int, isFound: Bool) throws {
        try withTap(pairs: pairs, isFound: isFound) { backend, port in
            let guest = try NetGuest(backend.driver { $0.pairs = pairs })
            _ = try guest.findHost()
            try run("ip link delete tap0")
            for _ in 0..<100 { try guest.send(Frame.whoHas(Ends.host), pair: pairs - 1) }
            if isFound { try make() }
            try waitUntil { !port.isLost && port.isUp == true }
            try address("tap0")
            let mac = try guest.findHost()
            guard pairs > 1 else { return }
            try expectOwnWay(guest, mac, HostSocket(port: 7))
        }
    }

    @Test("A pair that is enabled while the TAP is away has its packets once that is back")
    func enabledMeanwhile() throws {
        try withTap(pairs: 2, isFound: true) { backend, port in
            let guest = try NetGuest(backend.driver { $0.pairs = 2 })
            _ = try guest.findHost()
            try disable(guest.driver, pair: 1)
            try run("ip link delete tap0")
            try guest.send(Frame.whoHas(Ends.host))
            #expect(port.isLost)
            for _ in 0..<2 { try guest.driver.connection.setVringEnable(2, 1) }
            try make()
            try waitUntil { !port.isLost && port.isUp == true }
            try address("tap0")
            let mac = try guest.findHost()
            try expectOwnWay(guest, mac, HostSocket(port: 7))
        }
    }

    @Test(
        "A driver that rewrites all that is read harms nobody but itself", .serialized,
        arguments: [false, true])
    func race(packed: Bool) throws {
        try withTap { backend, _ in
            do {
                let racer = try Racer(
                    FrontendConnection(path: backend.path), NetShape(packed: packed)
                ) { $0.offloads = .netOffloads }
                let socket = try HostSocket(port: 7)
                try racer.race { _ = socket.send([1, 2, 3], to: 9) }
            }
            #expect(try NetGuest(backend.driver()).findHost().count == 6)
        }
    }
}
