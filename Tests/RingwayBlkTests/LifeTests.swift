import Foundation
import Programs
import Testing
import VhostUserFrontend
import VirtioSpec

@Suite("A back-end program keeps to the conventions for one")
struct LifeTests {
    let folder: Folder

    init() throws { folder = try Folder() }

    private func listening(_ more: String..., socket: String = "s") throws -> Program {
        let program = try Program(
            ["--socket-path", folder[socket], "--store", "null:1M"] + more)
        try program.waitFor("listening on \(folder[socket])")
        return program
    }

    @Test("--print-capabilities prints what QEMU's schema asks for, whatever else is said")
    func capabilities() throws {
        for more in [[], ["--blk-file", "/nowhere", "--frobnicate"]] {
            let ended = try Program.run(["--print-capabilities"] + more)
            #expect(ended.status == 0)
            #expect(ended.errors.isEmpty)
            let json = try JSONSerialization.jsonObject(with: Data(ended.output.utf8))
            let object = try #require(json as? [String: Any])
            #expect(Set(object.keys) == ["type", "features"])
            #expect(object["type"] as? String == "block")
            #expect(Set(object["features"] as? [String] ?? []) == ["blk-file", "read-only"])
        }
    }

    @Test("--help teaches by example and ends well")
    func help() throws {
        let ended = try Program.run(["--help"])
        #expect(ended.status == 0)
        for word in ["Examples", "--blk-file", "--serial", "truncate"] {
            #expect(ended.output.contains(word))
        }
    }

    @Test("The start-up lines name socket, store, size and three VMMs' options")
    func greeting() throws {
        let disk = try folder.disk(bytes: 3 << 20)
        let program = try Program(
            ["--socket-path", folder["s"], "--blk-file", disk, "--serial", "ABC-1"])
        try program.waitFor("Cloud Hypervisor")
        let output = program.terminate().0.output
        for word in [
            disk, "3 MiB", "ABC-1", folder["s"], "vhost-user-blk-pci", "share=on", "<disk",
            "libvirt",
            "vhost_user=true",
        ] { #expect(output.contains(word), "\(word)") }
    }

    @Test(
        "SIGTERM and SIGINT end it at once, cleanly, and the socket goes",
        arguments: [SIGTERM, SIGINT])
    func signals(signal: Int32) throws {
        let program = try listening()
        #expect(kill(program.identifier, signal) == 0)
        #expect(program.end().status == 0)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }

    @Test("A socket that another one serves is never taken")
    func liveOwner() throws {
        let owner = try listening()
        let ended = try Program.run(["--socket-path", folder["s"], "--store", "null:1M"])
        #expect(ended.status != 0)
        #expect(ended.errors.contains("pid \(owner.identifier)"), "\(ended.errors)")
        // The owner is unharmed: it still has its socket.
        #expect(FileManager.default.fileExists(atPath: folder["s"]))
        #expect(owner.terminate().0.status == 0)
    }

    @Test("A socket that a killed one left behind is replaced")
    func staleSocket() throws {
        _ = try listening().kill()
        #expect(FileManager.default.fileExists(atPath: folder["s"]))
        #expect(try listening().terminate().0.status == 0)
    }

    @Test("A socket that a stranger serves is never taken")
    func strangersSocket() throws {
        let stranger = try StrangersListener(folder["s"])
        let ended = try Program.run(["--socket-path", folder["s"], "--store", "null:1M"])
        #expect(ended.status != 0)
        #expect(ended.errors.contains("in use"), "\(ended.errors)")
        #expect(FileManager.default.fileExists(atPath: folder["s"]))
        stranger.close()
    }

    @Test("The socket gets the permissions that were asked for")
    func permissions() throws {
        let program = try listening("--socket-mode", "660")
        let attributes = try FileManager.default.attributesOfItem(atPath: folder["s"])
        #expect((attributes[.posixPermissions] as? Int) == 0o660)
        _ = program.terminate()
    }

    @Test("A file that one back-end writes is refused to another, by name; readers share it")
    func imageLock() throws {
        let disk = try folder.disk()
        func start(_ socket: String, _ more: String...) throws -> Program {
            try Program(["--socket-path", folder[socket], "--blk-file", disk] + more)
        }
        let writer = try start("a")
        try writer.waitFor("listening")
        for more in [[], ["--read-only"]] {
            let ended = try Program.run(["--socket-path", folder["b"], "--blk-file", disk] + more)
            #expect(ended.status != 0)
            #expect(
                ended.errors.contains("ringway-blk (pid \(writer.identifier))"), "\(ended.errors)")
        }
        _ = writer.terminate()
        let readers = try [start("c", "--read-only"), start("d", "--read-only")]
        for reader in readers { try reader.waitFor("listening") }
        for reader in readers { #expect(reader.terminate().0.status == 0) }
    }

    @Test("It says READY to its supervisor only when it listens")
    func readiness() throws {
        let supervisor = try DatagramSocket(folder["notify"])
        let program = try Program(
            ["--socket-path", folder["s"], "--store", "null:1M"],
            shell: "NOTIFY_SOCKET=\(folder["notify"]) exec \"$@\"")
        #expect(try supervisor.receive(seconds: 20) == "READY=1\n")
        #expect(FileManager.default.fileExists(atPath: folder["s"]))
        _ = program.terminate()
    }

    /// What io_uring still holds of a process that was killed must not keep its disk locked.
    @Test("The disk of a program that was killed at work is free at once", arguments: 0..<10)
    func killedAtWork(_: Int) throws {
        let folder = try Folder(in: FileManager.default.currentDirectoryPath)
        let disk = try folder.disk(bytes: 64 << 20)
        let program = try Program(["--socket-path", folder["s"], "--blk-file", disk])
        try program.waitFor("listening")
        let driver = try BlockDriver(
            FrontendConnection(path: folder["s"]), GuestRAM(byteCount: 16 << 20),
            BlockDriver.Options())
        let stream = BlockStream(driver, queue: 0, slots: 32, bytesPerSlot: 4096)
        for slot in 0..<32 {
            #expect(
                stream.offer(BlockRequestType.out, sector: UInt64(slot) * 8, slot: slot))
        }
        stream.queue.submit()
        while try stream.reap() == nil {}
        _ = program.kill()
        let next = try Program(["--socket-path", folder["s"], "--blk-file", disk])
        try next.waitFor("listening")
        #expect(next.terminate().0.status == 0)
    }
}
