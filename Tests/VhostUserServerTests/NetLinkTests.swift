import Host
import HostNetwork
import NetPorts
import Testing
import VhostUserFrontend
import VhostUserServer
import VirtioNet
import VirtioSpec

@Suite("The driver's link follows the port, and the front-end hears of it")
struct NetLinkTests {
    /// A driver whose front-end listens.
    private struct Listener {
        private let backend: NetBackend
        let driver: NetDriver
        let requests: FrontendConnection

        init(_ backend: NetBackend) throws {
            self.backend = backend
            driver = try backend.driver()
            requests = try driver.connection.openBackendRequests()
            try driver.offerBuffers(16)
        }

        var isUp: Bool {
            get throws { try driver.configuration()?.status == NetStatus.linkUp }
        }

        /// Waits for words of changes until the link is as it should be.
        func waits(isUp wanted: Bool) throws {
            while try isUp != wanted { #expect(try requests.receive().request == 2) }
        }
    }

    @Test("A TAP that is set down, set up, deleted, and made again")
    func tap() throws {
        try Namespace.own {
            let backend = try NetBackend(.tap(TapPort(name: "tap0", queues: 1)))
            let listener = try Listener(backend)
            #expect(try listener.isUp)
            try run("ip link set tap0 down")
            try listener.waits(isUp: false)
            try run("ip link set tap0 up")
            try listener.waits(isUp: true)
            try run("ip link delete tap0")
            try listener.waits(isUp: false)
            // The back-end makes it again by itself.
            try listener.waits(isUp: true)
        }
    }

    @Test("A TAP that was down before the guest came")
    func downBefore() throws {
        try Namespace.own {
            let tap = try TapPort(name: "tap0", queues: 1)
            try run("ip link set tap0 down")
            let listener = try Listener(NetBackend(.tap(tap)))
            try listener.waits(isUp: false)
            try run("ip link set tap0 up")
            try listener.waits(isUp: true)
        }
    }

    @Test("A TAP that was handed in is up until it is gone")
    func handedIn() throws {
        try Namespace.own {
            let number = try TapQueue(name: "tap0", isMultiqueue: false).descriptor.duplicate()
                .release()
            try run("ip link set tap0 up")
            let listener = try Listener(NetBackend(.tap(TapPort(adopting: [number]))))
            #expect(try listener.isUp)
            try run("ip link delete tap0")
            try listener.waits(isUp: false)
        }
    }

    @Test("A passt that is not there yet, comes, dies, and comes back")
    func passt() throws {
        let path = FakePasst.freshPath()
        let listener = try Listener(NetBackend(.passt(path)))
        try listener.waits(isUp: false)
        for _ in 0..<2 {
            let passt = try FakePasst(path: path)
            let link = try passt.accept()
            try listener.waits(isUp: true)
            withExtendedLifetime((passt, link)) {}
            // Both end here.
            _ = consume link
            _ = consume passt
            try listener.waits(isUp: false)
        }
    }
}
