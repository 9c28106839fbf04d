import CLinux
import Host
import HostNetwork
import NetPorts
import Testing

@Suite("Opening a TAP, and why that may fail")
struct TapOpeningTests {
    private func fault(_ name: String, queues: Int = 1) -> PortFault? {
        do throws(PortFault) {
            _ = try TapPort(name: name, queues: queues)
            return nil
        } catch { return error }
    }

    private func fault(adopting numbers: [Int32]) -> PortFault? {
        do throws(PortFault) {
            _ = try TapPort(adopting: numbers)
            return nil
        } catch { return error }
    }

    @Test("A name that ends in %d is given a number, one for all queues")
    func numbered() throws {
        try Namespace.own {
            let first = try TapPort(name: "rw%d", queues: 2)
            let second = try TapPort(name: "rw%d", queues: 2)
            #expect([first.name, second.name] == ["rw0", "rw1"])
            #expect(Interface.exists("rw0") && !Interface.exists("rw2"))
        }
    }

    @Test("A device that we made goes with us; one that was there stays")
    func life() throws {
        try Namespace.own {
            try run("ip tuntap add dev stays mode tap")
            _ = try TapPort(name: "stays", queues: 1)
            _ = try TapPort(name: "goes", queues: 1)
            #expect(Interface.exists("stays") && !Interface.exists("goes"))
        }
    }

    @Test("One queue is enough for a device that has many, and not the other way round")
    func queues() throws {
        try Namespace.own {
            try run("ip tuntap add dev many mode tap multi_queue")
            try run("ip tuntap add dev one mode tap")
            #expect(fault("many") == nil)
            #expect(fault("many", queues: 3) == nil)
            #expect(fault("one") == nil)
            #expect(fault("one", queues: 2) == .oneQueue("one"))
            let held = try TapPort(name: "one", queues: 1)
            #expect(fault("one") == .tap("one", SystemError("TUNSETIFF", SystemErrorCode.busy)))
            #expect(held.isUp == true)
        }
    }

    @Test("Something else of that name is told", arguments: [1, 2])
    func notATap(queues: Int) throws {
        try Namespace.own {
            #expect(fault("lo", queues: queues) == .notATap("lo"))
            #expect(fault("a/b", queues: queues) == .notATap("a/b"))
        }
    }

    @Test("Who may not make one is told how; who was given one needs no more")
    func permission() throws {
        try Namespace.own {
            try run("ip tuntap add dev given mode tap multi_queue user root")
            try Namespace.withoutAdministration {
                let fault = fault("tap0")
                let denied = SystemError("TUNSETIFF", SystemErrorCode.notPermitted)
                #expect(fault == .tap("tap0", denied))
                let text = fault.map { "\($0)" } ?? ""
                #expect(text.contains("ip tuntap add dev tap0 mode tap multi_queue user $USER"))
                let port = try TapPort(name: "given", queues: 2)
                #expect(port.isUp == false)
                #expect(!port.setMTU(9000))
            }
        }
    }

    @Test("Descriptors that were handed in are used")
    func handedIn() throws {
        try Namespace.own {
            let numbers = try (0..<2).map { _ in
                try TapQueue(name: "tap0", isMultiqueue: true).descriptor.duplicate().release()
            }
            try run("ip link set tap0 up")
            try address("tap0")
            let guest = try TapGuest(TapPort(adopting: numbers))
            #expect(guest.port.name == "tap0")
            #expect([0, 1].map(guest.port.descriptor) == numbers)
            #expect(guest.findHost() != nil)
            // Not ours to change.
            #expect(guest.port.isUp == nil && guest.port.mtu == nil && !guest.port.setMTU(9000))
        }
    }

    @Test("Descriptors of the wrong kind are told apart")
    func wrongDescriptors() throws {
        try Namespace.own {
            let file = try File.open("/dev/null", []).release()
            #expect(fault(adopting: [file]) == .notATapDescriptor(file))
            #expect(fault(adopting: [9_999]) == .notATapDescriptor(9_999))
            let closed = try File.open("/dev/net/tun", .writable).release()
            #expect(fault(adopting: [closed]) == .notATapDescriptor(closed))
            for flags in [IFF_TAP | IFF_NO_PI, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR] {
                let number = try joined("odd", flags)
                #expect(fault(adopting: [number]) == .unfit(number, "odd"))
            }
            let fit = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
            let two = try [joined("odd", fit), joined("even", fit)]
            #expect(fault(adopting: two) == .unfit(two[0], "odd"))
            let many = fit | IFF_MULTI_QUEUE
            let apart = try [joined("left", many), joined("right", many)]
            #expect(fault(adopting: apart) == .differentTaps(["left", "right"]))
        }
    }

    private func joined(_ name: String, _ flags: Int32) throws -> Int32 {
        let file = try File.open("/dev/net/tun", .writable)
        var bytes = name.utf8.map { CChar(bitPattern: $0) }
        bytes += [CChar](repeating: 0, count: 16 - bytes.count)
        try #require(unsafe clinux_tap_join(file.raw, &bytes, Int16(flags)) == 0)
        return file.release()
    }
}
