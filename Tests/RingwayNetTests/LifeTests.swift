import Foundation
import Host
import Programs
import Testing
import VhostUserFrontend
import VirtioSpec

@Suite("ringway-net keeps to the conventions for a back-end program")
struct LifeTests {
    let folder: Folder

    init() throws { folder = try Folder() }

    private func listening(_ more: String..., port: String = "loopback:") throws -> Program {
        let program = try Program(["--socket-path", folder["s"], "--port", port] + more)
        try program.waitFor("listening on \(folder["s"])")
        return program
    }

    /// Sends a packet and has it back, over the socket.
    private func usePort(_ socket: consuming UnixSocket) throws -> NetDriver {
        let driver = try NetDriver(FrontendConnection(socket), GuestRAM(byteCount: 8 << 20))
        try driver.offerBuffers(1)
        let packet = [UInt8](repeating: 0x42, count: 100)
        try driver.send(packet)
        #expect(try driver.receive().packet == packet)
        try driver.waitForSent()
        return driver
    }

    private func usePort() throws -> NetDriver {
        try usePort(UnixSocket.connect(path: folder["s"]))
    }

    @Test("--print-capabilities prints what QEMU's schema asks for, whatever else is said")
    func capabilities() throws {
        for more in [[], ["--port", "tap:nowhere", "--frobnicate"]] {
            let ended = try Program.run(["--print-capabilities"] + more)
            #expect(ended.status == 0)
            #expect(ended.errors.isEmpty)
            let json = try JSONSerialization.jsonObject(with: Data(ended.output.utf8))
            #expect(json as? [String: String] == ["type": "net"])
        }
    }

    @Test("--help teaches by example, names every option, and ends well")
    func help() throws {
        let ended = try Program.run(["--help"])
        #expect(ended.status == 0)
        #expect(ended.errors.isEmpty)
        for word in [
            "Examples", "tap:", "tapfd:", "passt:", "null:", "loopback:", "ip tuntap add",
            "passt --socket", "--socket-path", "--fd", "--connect", "--exit-on-disconnect",
            "--socket-mode", "--socket-owner", "--socket-group", "--port", "--mac", "--mtu",
            "--queue-pairs", "--queue-size-max", "--pcap", "--pcap-limit", "--poll-us", "--cpus",
            "--numa", "--log-level", "--print-capabilities",
        ] { #expect(ended.output.contains(word), "\(word)") }
    }

    @Test("The start-up lines name socket, port, address and three VMMs' options")
    func greeting() throws {
        let program = try Program([
            "--socket-path", folder["s"], "--port", "loopback:", "--mac", "52:54:00:ab:cd:ef",
            "--queue-pairs", "3", "--mtu", "9000",
        ])
        try program.waitFor("Cloud Hypervisor")
        let output = program.terminate().0.output
        for word in [
            folder["s"], "loopback:", "52:54:00:ab:cd:ef", "MTU 9000", "queues=3", "num_queues=6",
            "-netdev vhost-user", "virtio-net-pci", "share=on", "libvirt", "type='vhostuser'",
            "--net vhost_user=true",
        ] { #expect(output.contains(word), "\(word)") }
    }

    @Test(
        "SIGTERM and SIGINT end it cleanly, and the socket goes: idle, in a session, and under load",
        arguments: [SIGTERM, SIGINT])
    func signals(signal: Int32) throws {
        for state in 0..<3 {
            let program = try listening()
            let driver = state > 0 ? try usePort() : nil
            if state == 2, let driver {
                try driver.offerBuffers(100)
                for _ in 0..<100 { try driver.send([UInt8](repeating: 1, count: 60)) }
            }
            #expect(kill(program.identifier, signal) == 0)
            #expect(program.end().status == 0)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
            // It was attached until then.
            withExtendedLifetime(driver) {}
        }
    }

    @Test("A socket that another one serves is never taken; one that was left behind is replaced")
    func staleSocket() throws {
        let owner = try listening()
        let ended = try Program.run(["--socket-path", folder["s"], "--port", "null:"])
        #expect(ended.status != 0)
        #expect(ended.errors.contains("pid \(owner.identifier)"), "\(ended.errors)")
        _ = try usePort()
        _ = owner.kill()
        #expect(FileManager.default.fileExists(atPath: folder["s"]))
        let next = try listening()
        _ = try usePort()
        #expect(next.terminate().0.status == 0)
    }

    @Test("The socket gets the permissions that were asked for")
    func permissions() throws {
        let program = try listening("--socket-mode", "660")
        let attributes = try FileManager.default.attributesOfItem(atPath: folder["s"])
        #expect((attributes[.posixPermissions] as? Int) == 0o660)
        _ = program.terminate()
    }

    @Test("It says READY to its supervisor only when it listens")
    func readiness() throws {
        let supervisor = try DatagramSocket(folder["notify"])
        let program = try Program(
            ["--socket-path", folder["s"], "--port", "null:"],
            shell: "NOTIFY_SOCKET=\(folder["notify"]) exec \"$@\"")
        #expect(try supervisor.receive(seconds: 20) == "READY=1\n")
        #expect(FileManager.default.fileExists(atPath: folder["s"]))
        _ = program.terminate()
    }

    @Test("--exit-on-disconnect ends the program with its first front-end")
    func exitOnDisconnect() throws {
        let program = try listening("--exit-on-disconnect")
        do { _ = try usePort() }
        #expect(program.end().status == 0)
    }

    @Test("--connect goes to where the VMM listens, and again when it is lost")
    func connecting() throws {
        let program = try Program(
            ["--connect", "--socket-path", folder["s"], "--port", "loopback:"])
        // It was there first; the socket comes later, and twice.
        try program.waitFor("trying again")
        let listener = try UnixListener(path: folder["s"])
        for _ in 0..<2 { _ = try usePort(accept(listener)) }
        let ended = program.terminate().0
        #expect(ended.status == 0)
        #expect(ended.output.contains("server=on"))
    }

    private func accept(_ listener: borrowing UnixListener) throws -> UnixSocket {
        var set = PollSet()
        set.add(listener.descriptor.raw)
        try #require(set.wait(milliseconds: 20_000) == 1)
        guard let socket = try listener.accept() else { throw Failure("nobody connected") }
        return socket
    }

    /// Starts the program with `descriptor` as number 5.
    private func start(on descriptor: consuming OwnedFD) throws -> Program {
        let handle = FileHandle(fileDescriptor: descriptor.release(), closeOnDealloc: true)
        return try Program(
            ["--fd", "5", "--port", "loopback:"],
            shell: #"exec 5<&0 0</dev/null; exec "$@""#, input: handle)
    }

    @Test("A connected socket as a descriptor; the program ends with it")
    func connectedDescriptor() throws {
        let listener = try UnixListener(path: folder["s"])
        let near = try UnixSocket.connect(path: folder["s"])
        let far = try accept(listener)
        let program = try start(on: far.descriptor.duplicate())
        // The program's copy is to be the only one, so that its end is seen.
        _ = consume far
        do { _ = try usePort(near) }
        #expect(program.end().status == 0)
    }

    @Test("A listening socket as a descriptor, for one front-end after the other")
    func listeningDescriptor() throws {
        let listener = try UnixListener(path: folder["s"])
        let program = try start(on: listener.descriptor.duplicate())
        for _ in 0..<2 { _ = try usePort() }
        let ended = program.terminate().0
        #expect(ended.status == 0)
        #expect(ended.output.contains("on descriptor 5"))
    }

    @Test("--pcap records what goes out of the guest, and what comes in")
    func capture() throws {
        let program = try listening("--pcap", folder["p"])
        do { _ = try usePort() }
        #expect(program.terminate().0.status == 0)
        let packets = try Pcapng(folder.bytes("p")).packets
        let packet = [UInt8](repeating: 0x42, count: 100)
        #expect(packets.map(\.bytes) == [packet, packet])
        #expect(packets.map(\.direction) == [2, 1])
    }
}
