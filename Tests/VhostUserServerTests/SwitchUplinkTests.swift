import EthernetSwitch
import Host
import HostNetwork
import NetPorts
import Randomness
import Testing
import VhostUserFrontend
import VirtioSpec

@Suite("A TAP at a switch's last port is one station more, or many")
struct SwitchUplinkTests {
    /// Runs `body` with a switch for two guests and an uplink `tap0`, in a namespace of its own.
    private func withUplink(
        isFound: Bool = false, _ body: (SwitchBackend, TapPort) throws -> Void
    ) throws {
        try Namespace.own {
            if isFound { try make() }
            let port = try TapPort(name: "tap0", queues: 1)
            try address("tap0")
            let ports = Array(repeating: PortVLANs.transparent, count: 3)
            try body(SwitchBackend(ports, uplink: port), port)
        }
    }

    private func make() throws { try run("ip tuntap add dev tap0 mode tap") }

    @Test(
        "Datagrams go both ways, finished for whoever takes no others",
        arguments: [
            NetShape(), NetShape(packed: true), NetShape(mergeable: false, indirect: true),
        ],
        [false, true])
    func bothWays(shape: NetShape, leavesWork: Bool) throws {
        var random = Seeded()
        try withUplink { backend, _ in
            let guest = try NetGuest(
                backend.guest(0) {
                    shape.set(&$0)
                    if leavesWork { $0.offloads = .netOffloads }
                })
            let mac = try guest.findHost()
            let socket = try HostSocket(port: 7)
            let data = random.bytes(2500)
            try guest.send(
                Frame.datagram(to: mac, from: 9, port: 7, Array(data[..<1400])),
                cuts: [1, 7, 30, Int.random(in: 1...200, using: &random)])
            #expect(socket.receive() == Array(data[..<1400]), "\(random.note)")
            if leavesWork {
                let whole = NetGuest.unfinished(data, to: mac, segment: 1000)
                try guest.send(whole.frame, whole.header)
                for range in [0..<1000, 1000..<2000, 2000..<2500] {
                    #expect(socket.receive() == Array(data[range]), "\(random.note)")
                }
            }
            #expect(socket.send(data, to: 9, segment: 1000))
            let pieces = leavesWork ? [0..<2500] : [0..<1000, 1000..<2000, 2000..<2500]
            for range in pieces {
                let packet = try guest.receive(Frame.isDatagram)
                #expect(Array(packet.frame[42...]) == Array(data[range]), "\(random.note)")
                #expect((packet.header.segmentBytes == 1000) == leavesWork)
                #expect(leavesWork || Frame.isRight(packet.frame))
            }
        }
    }

    @Test(
        "What one guest says to all comes to the other and to the host, and what the host says to one"
    )
    func flooding() throws {
        try withUplink { backend, _ in
            let guests = try (0..<2).map { try NetGuest(backend.guest($0)) }
            let question = Frame.whoHas(Ends.host)
            try guests[0].send(question)
            #expect(try guests[1].receive { $0 == question }.frame == question)
            let mac = Array(try guests[0].receive(Frame.isAnswer).frame[6..<12])
            // Known by now: it goes to no other guest.
            let socket = try HostSocket(port: 7)
            try guests[0].send(Frame.datagram(to: mac, from: 9, port: 7, [1]))
            #expect(socket.receive() == [1])
            #expect(socket.send([2], to: 9))
            #expect(try guests[0].receive(Frame.isDatagram).frame.last == 2)
            #expect(try !guests[1].hasReceived { Frame.isAnswer($0) || Frame.isDatagram($0) })
        }
    }

    @Test("A guest without buffers loses its own, and the host reaches the other")
    func slowGuest() throws {
        try withUplink { backend, _ in
            let slow = try backend.guest(1)
            let frame = Frame.whoHas([10, 9, 0, 77])
            try slow.pass(frame)
            let guest = try NetGuest(backend.guest(0))
            let mac = try guest.findHost()
            let socket = try HostSocket(port: 7)
            for number in 0..<100 {
                try guest.send(Frame.whoHas([10, 9, 0, 78]))
                try guest.send(Frame.datagram(to: mac, from: 9, port: 7, [UInt8(number)]))
                #expect(socket.receive() == [UInt8(number)])
                #expect(socket.send([UInt8(number)], to: 9))
                #expect(try guest.receive(Frame.isDatagram).frame.last == UInt8(number))
            }
            #expect(backend.counters(1).dropped(.receiverFull) >= 100)
        }
    }

    @Test(
        "While it is away guests reach each other; then it is found again",
        arguments: [false, true])
    func deleted(isFound: Bool) throws {
        try withUplink(isFound: isFound) { backend, port in
            let guests = try (0..<2).map { try NetGuest(backend.guest($0)) }
            _ = try guests[0].findHost()
            try run("ip link delete tap0")
            for number in 0..<50 {
                let question = Frame.whoHas([10, 9, 0, UInt8(100 + number)])
                try guests[0].send(question)
                #expect(try guests[1].receive { $0 == question }.frame == question)
            }
            if isFound { try make() }
            try waitUntil { !port.isLost && port.isUp == true }
            try address("tap0")
            #expect(try guests[0].findHost().count == 6)
        }
    }

    @Test(
        "A guest that rewrites all that is read harms nobody but itself", .serialized,
        arguments: [false, true])
    func race(packed: Bool) throws {
        try withUplink { backend, _ in
            let guest = try NetGuest(backend.guest(1))
            let mac = try guest.findHost()
            let racer = try Racer(
                FrontendConnection(path: backend.paths[0]), NetShape(packed: packed)
            ) { $0.offloads = .netOffloads }
            let socket = try HostSocket(port: 7)
            try racer.race {
                try guest.send(Frame.whoHas(Ends.host))
                try guest.send(Frame.datagram(to: mac, from: 9, port: 7, [9]))
                #expect(socket.receive() == [9])
            }
        }
    }
}
