import Host
import HostNetwork
import NetPorts
import Testing
import VirtioNet

@Suite("A TAP that is taken away")
struct TapLossTests {
    private let gone = -Int(SystemErrorCode.deviceGone)

    @Test("One that we made is said to be lost, and is made again", arguments: [1, 2])
    func made(queues: Int) throws {
        try withTap(queues: queues) { guest in
            let port = guest.port
            guest.use(headerBytes: 10, takes: .all)
            #expect(port.setMTU(1400))
            let numbers = (0..<queues).map(port.descriptor)
            #expect(guest.findHost() != nil)
            try run("ip link delete tap0")
            #expect(waits(for: port.descriptor(0)))
            #expect(guest.send(Frame.whoHas(Ends.host), queue: queues - 1) == .lost)
            #expect(port.isLost)
            #expect(port.receive(0, into: guest.buffers.list([0..<100])) == gone)
            try port.reopen()
            #expect(!port.isLost)
            #expect((0..<queues).map(port.descriptor) == numbers)
            // Header, offloads and MTU are as they were.
            #expect(port.mtu == 1400)
            try address("tap0")
            #expect(guest.findHost(queue: queues - 1) != nil)
            let socket = try HostSocket(port: 7)
            #expect(socket.send([UInt8](repeating: 1, count: 2000), to: 9, segment: 1000))
            #expect(guest.receiveAnywhere(Frame.isDatagram)?.header.segmentBytes == 1000)
        }
    }

    @Test("One that was there before is waited for")
    func found() throws {
        try Namespace.own {
            try run("ip tuntap add dev tap7 mode tap multi_queue")
            let guest = try TapGuest(TapPort(name: "tap7", queues: 2))
            let port = guest.port
            #expect(port.detach(1))
            try run("ip link delete tap7")
            #expect(port.receive(0, into: guest.buffers.list([0..<100])) == gone)
            #expect(port.isLost)
            #expect(throws: PortFault.absent("tap7")) { try port.reopen() }
            #expect(port.isLost && !Interface.exists("tap7"))
            // What is set meanwhile holds afterwards.
            #expect(!port.use(headerBytes: 10, guestTakes: []))
            try run("ip tuntap add dev tap7 mode tap multi_queue")
            guest.use(headerBytes: 10, takes: [])
            try port.reopen()
            #expect(!port.isLost && port.isUp == true)
            try address("tap7")
            #expect(guest.findHost() != nil)
            #expect(port.attach(1))
        }
    }

    @Test("One that was handed in is not opened by name, which may be another's by now")
    func handedIn() throws {
        try Namespace.own {
            let number = try TapQueue(name: "tap0", isMultiqueue: false).descriptor.duplicate()
                .release()
            let port = try TapPort(adopting: [number])
            try run("ip link delete tap0")
            #expect(port.receive(0, into: IOVectors(capacity: 1)) == gone)
            #expect(throws: PortFault.handedIn("tap0")) { try port.reopen() }
        }
    }

    @Test("A late word of its loss does no harm once it is back")
    func lateWord() throws {
        try withTap { guest in
            try run("ip link delete tap0")
            let old = guest.port.receive(0, into: guest.buffers.list([0..<100]))
            #expect(old == gone)
            try guest.port.reopen()
            try guest.port.reopen()
            try address("tap0")
            #expect(guest.findHost() != nil)
        }
    }

    @Test("An interface that is down drops packets, and is not lost")
    func down() throws {
        try withTap { guest in
            let request = Frame.whoHas(Ends.host)
            try run("ip link set tap0 down")
            #expect(guest.port.isUp == false)
            #expect(guest.send(request) == .dropped(SystemErrorCode.ioError))
            #expect(!guest.port.isLost)
            try run("ip link set tap0 up")
            #expect(guest.findHost() != nil)
        }
    }
}
