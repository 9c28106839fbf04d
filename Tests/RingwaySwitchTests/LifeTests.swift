import Foundation
import Host
import HostNetwork
import Programs
import Testing
import VhostUserFrontend
import VirtioSpec

@Suite("ringway-switch keeps to the conventions for a back-end program")
struct LifeTests {
    let folder: Folder

    init() throws { folder = try Folder() }

    private var ports: [String] { ["--port", folder["a"], "--port", folder["b"]] }

    private func listening(_ more: String...) throws -> Program {
        let program = try Program(ports + more)
        try program.waitFor("port 2: listening on \(folder["b"])")
        return program
    }

    private func guest(_ name: String) throws -> NetDriver {
        try NetDriver(
            FrontendConnection(path: folder[name]), GuestRAM(byteCount: 8 << 20))
    }

    private static let payload = [UInt8](repeating: 0x42, count: 60)

    private static func frame(to target: UInt8, from source: UInt8) -> [UInt8] {
        [2, 0, 0, 0, 0, target, 2, 0, 0, 0, 0, source, 0x88, 0xb5] + payload
    }

    /// Has a frame pass from one port to the other.
    private func pass(_ sender: NetDriver, _ receiver: NetDriver) throws {
        try receiver.offerBuffers(1)
        try sender.send(Self.frame(to: 2, from: 1))
        #expect(try receiver.receive().packet == Self.frame(to: 2, from: 1))
        try sender.waitForSent()
    }

    @Test("--print-capabilities prints what QEMU's schema asks for, whatever else is said")
    func capabilities() throws {
        let ended = try Program.run(["--print-capabilities", "--frobnicate"])
        #expect(ended.status == 0)
        #expect(ended.errors.isEmpty)
        let json = try JSONSerialization.jsonObject(with: Data(ended.output.utf8))
        #expect(json as? [String: String] == ["type": "net"])
    }

    @Test("--help teaches by example, names every option, and ends well")
    func help() throws {
        let ended = try Program.run(["--help"])
        #expect(ended.status == 0)
        #expect(ended.errors.isEmpty)
        for word in [
            "Examples", "QEMU", "memory must be shared", "ip tuntap add", "access:10",
            "trunk:10,20-29,native:1", "others=", "--port", "--uplink", "--vlan", "--mtu",
            "--queue-size-max", "--pcap", "--pcap-limit", "--socket-mode", "--socket-owner",
            "--socket-group", "--poll-us", "--cpus", "--numa", "--log-level",
            "--print-capabilities",
        ] { #expect(ended.output.contains(word), "\(word)") }
    }

    @Test("The start-up lines name each port with three VMMs' options, and the uplink")
    func greeting() throws {
        try Namespace.own {
            let program = try Program(ports + ["--uplink", "tap:tap%d"])
            try program.waitFor("port 2: listening on \(folder["b"])")
            let output = program.terminate().0.output
            #expect(output.contains("2 ports and the uplink tap:tap0"), "\(output)")
            #expect(output.contains("share=on") && output.contains("shared=on"))
            for path in [folder["a"], folder["b"]] {
                for word in ["socket,id=net,path=\(path)", "path='\(path)'", "socket=\(path),mac="]
                {
                    #expect(output.contains(word), "\(word)")
                }
            }
        }
    }

    @Test(
        "SIGTERM and SIGINT end it cleanly, and the sockets go: idle, and with guests attached",
        arguments: [SIGTERM, SIGINT])
    func signals(signal: Int32) throws {
        for isAttached in [false, true] {
            let program = try listening()
            let guests = isAttached ? [try guest("a"), try guest("b")] : []
            if isAttached { try pass(guests[0], guests[1]) }
            #expect(kill(program.identifier, signal) == 0)
            #expect(program.end().status == 0)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
            withExtendedLifetime(guests) {}
        }
    }

    @Test("Sockets that another one serves are never taken; those left behind are replaced")
    func staleSockets() throws {
        let owner = try listening()
        let ended = try Program.run(["--port", folder["c"], "--port", folder["b"]])
        #expect(ended.status != 0)
        #expect(ended.errors.contains("pid \(owner.identifier)"), "\(ended.errors)")
        #expect(!FileManager.default.fileExists(atPath: folder["c"]))
        try pass(guest("a"), guest("b"))
        _ = owner.kill()
        #expect(FileManager.default.fileExists(atPath: folder["a"]))
        let next = try listening()
        try pass(guest("a"), guest("b"))
        #expect(next.terminate().0.status == 0)
    }

    @Test("A guest that goes is followed by the next; a killed one leaves the others alone")
    func comingAndGoing() throws {
        let program = try listening()
        let left = try guest("a")
        for _ in 0..<3 { try pass(left, guest("b")) }
        #expect(program.terminate().0.status == 0)
    }

    @Test("The sockets get the permissions that were asked for")
    func permissions() throws {
        let program = try listening("--socket-mode", "660")
        for name in ["a", "b"] {
            let attributes = try FileManager.default.attributesOfItem(atPath: folder[name])
            #expect((attributes[.posixPermissions] as? Int) == 0o660)
        }
        _ = program.terminate()
    }

    @Test("It says READY to its supervisor only when it listens")
    func readiness() throws {
        let supervisor = try DatagramSocket(folder["notify"])
        let program = try Program(ports, shell: "NOTIFY_SOCKET=\(folder["notify"]) exec \"$@\"")
        #expect(try supervisor.receive(seconds: 20) == "READY=1\n")
        for name in ["a", "b"] { #expect(FileManager.default.fileExists(atPath: folder[name])) }
        _ = program.terminate()
    }

    @Test("--pcap records at each port what goes out of its guest, and what comes in")
    func capture() throws {
        let program = try listening("--pcap", folder["p"])
        let (left, right) = (try guest("a"), try guest("b"))
        // Flooded first, then to a station that is known; from ring to ring, and into several buffers.
        try pass(left, right)
        try left.offerBuffers(2, bytes: 50)
        try right.send(Self.frame(to: 1, from: 2))
        #expect(try left.receive().packet == Self.frame(to: 1, from: 2))
        try pass(left, right)
        #expect(program.terminate().0.status == 0)
        let recording = try Pcapng(folder.bytes("p"))
        #expect(recording.interfaces.map(\.name) == ["port 1", "port 2"])
        let (there, back) = (Self.frame(to: 2, from: 1), Self.frame(to: 1, from: 2))
        #expect(recording.packets.map(\.bytes) == [there, there, back, back, there, there])
        #expect(recording.packets.map(\.interface) == [0, 1, 1, 0, 0, 1])
        #expect(recording.packets.map(\.direction) == [2, 1, 2, 1, 2, 1])
    }
}
