import Foundation
import HostNetwork
import Programs
import Testing

@Suite("A wrong command line of ringway-net gets one line that says what is wrong")
struct BadInputTests {
    let folder: Folder

    init() throws { folder = try Folder() }

    /// Runs with a socket of the test's own and checks the one line.
    private func refused(_ arguments: [String], _ parts: String..., shell: String? = nil) throws {
        let ended = try Program.run(["--socket-path", folder["s"]] + arguments, shell: shell)
        #expect(ended.status != 0)
        #expect(ended.errorLines.count == 1, "\(ended.errors)")
        #expect(ended.errors.hasPrefix("ringway-net: "), "\(ended.errors)")
        #expect(ended.output.isEmpty)
        for part in parts { #expect(ended.errors.contains(part), "\(ended.errors)") }
        #expect(!FileManager.default.fileExists(atPath: folder["s"]))
    }

    @Test("No port")
    func noPort() throws { try refused([], "--port") }

    @Test(
        "A port that is none",
        arguments: [
            "tape:1", "tap:", "tap:a/b", "tap:sixteen-letters-", "tapfd:", "tapfd:x", "tapfd:3,3",
            "passt:", "null:1", "loopback:x", "generate:", "generate:13", "generate:65551", "tap0",
        ])
    func port(uri: String) throws {
        try refused(["--port", uri], uri, "tap:NAME", "passt:SOCKET", "loopback:")
    }

    @Test(
        "Values out of range",
        arguments: [
            (["--queue-pairs", "0"], "1 to 127"), (["--queue-pairs", "128"], "1 to 127"),
            (["--queue-size-max", "100"], "power of two"),
            (["--queue-size-max", "65536"], "power of two"), (["--mtu", "67"], "68 to 65535"),
            (["--mtu", "70000"], "70000"), (["--mac", "52:54:00:12:34"], "52:54:00:12:34:56"),
            (["--mac", "01:00:00:00:00:01"], "not an address"),
            (["--pcap", "/dev/null", "--pcap-limit", "0"], "1 MiB at least"),
            (["--cpus", "3-1"], "--cpus"), (["--cpus", "1023"], "can't run on 1023"),
            (["--numa", "north"], "--numa"), (["--numa", "99"], "--numa"),
            (["--poll-us", "1000001"], "at most 1000000"),
            (["--socket-mode", "9"], "--socket-mode"),
            (["--socket-owner", "no-such-user"], "no such user"),
            (["--socket-group", "no-such-group"], "no such group"),
            (["--log-level", "loud"], "loud"), (["--frobnicate"], "frobnicate"),
            (["--connect", "--socket-mode", "600"], "a socket we make"),
        ])
    func values(arguments: [String], part: String) throws {
        try refused(["--port", "loopback:"] + arguments, part)
    }

    @Test("Both --fd and --socket-path, or neither, or --fd where none is made")
    func socketCount() throws {
        try refused(["--fd", "3", "--port", "null:"], "exclude each other")
        for (arguments, part) in [
            ([], "no socket"), (["--fd=9"], "--fd 9: not an open socket"),
            (["--fd=1"], "--fd 1: not an open socket"),
            (["--fd=-4"], "--fd -4: not an open socket"),
            (["--fd=3", "--connect"], "--connect needs --socket-path"),
            (["--fd=3", "--socket-mode=600"], "a socket we make"),
        ] {
            let ended = try Program.run(["--port", "null:"] + arguments)
            #expect(ended.status != 0)
            #expect(ended.errorLines.count == 1)
            #expect(ended.errors.contains(part), "\(ended.errors)")
        }
    }

    @Test(
        "A socket's path that is too long, in no folder, or something else",
        arguments: [false, true])
    func socketPath(isClient: Bool) throws {
        let path = folder["x"] + String(repeating: "y", count: 108)
        let more = ["--port", "null:"] + (isClient ? ["--connect"] : [])
        let ended = try Program.run(["--socket-path", path] + more)
        #expect(ended.status != 0)
        #expect(ended.errors.contains("\(path.utf8.count) bytes"), "\(ended.errors)")
        guard !isClient else { return }
        for (place, part) in [
            (folder["nowhere/s"], "no such folder"), (try folder.disk("f"), "is no socket"),
        ] {
            let ended = try Program.run(["--socket-path", place] + more)
            #expect(ended.status != 0)
            #expect(ended.errorLines.count == 1)
            #expect(ended.errors.contains(part), "\(ended.errors)")
        }
        #expect(FileManager.default.fileExists(atPath: folder["f"]))
    }

    @Test("A capture that can't be written, or is another's")
    func capture() throws {
        try refused(
            ["--port", "null:", "--pcap", folder["nowhere/p"]], folder["nowhere/p"],
            "no such folder")
        try refused(["--port", "null:", "--pcap", folder.path], folder.path, "not a regular file")
        try refused(["--port", "null:", "--pcap", "/dev/null"], "not a regular file")
        let owner = try Program(
            ["--socket-path", folder["t"], "--port", "null:", "--pcap", folder["p"]])
        try owner.waitFor("listening")
        try refused(
            ["--port", "null:", "--pcap", folder["p"]], "in use by", "pid \(owner.identifier)")
        #expect(owner.terminate().0.status == 0)
    }

    @Test("A capture's file without permission is left as it is")
    func captureWithoutPermission() throws {
        let path = try folder.disk("p", bytes: 77)
        let manager = FileManager.default
        try manager.setAttributes([.posixPermissions: 0o444], ofItemAtPath: path)
        try manager.setAttributes([.posixPermissions: 0o777], ofItemAtPath: folder.path)
        // Root may write anything, so the program runs as somebody else.
        try refused(
            ["--port", "null:", "--pcap", path], "\(path): permission denied",
            shell: getuid() == 0 ? #"exec setpriv --reuid 65534 --clear-groups "$@""# : nil)
        #expect(try manager.attributesOfItem(atPath: path)[.size] as? Int == 77)
    }

    @Test("A capture is not emptied by a start that fails for another reason")
    func captureKept() throws {
        let path = try folder.disk("p", bytes: 77)
        for more in [
            ["--port", "null:", "--mac", "x"], ["--port", "tapfd:99"],
            ["--port", "null:", "--cpus", "x"],
        ] {
            try refused(more + ["--pcap", path])
            #expect(
                try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int == 77,
                "\(more)")
        }
        let taken = try folder.disk("f")
        _ = try Program.run(["--socket-path", taken, "--port", "null:", "--pcap", path])
        #expect(try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int == 77)
    }

    @Test("A TAP that can't be had, and what to do")
    func tap() throws {
        try refused(["--port", "tapfd:99"], "tapfd:99", "no TAP's descriptor")
        try refused(["--port", "tapfd:0"], "tapfd:0", "no TAP's descriptor")
        try refused(["--port", "tap:lo"], "is no TAP device")
        try refused(["--port", "passt:/nowhere", "--queue-pairs", "2"], "passt has one pair")
        guard getuid() == 0 else { return }
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o777], ofItemAtPath: folder.path)
        try refused(
            ["--port", "tap:rwtest9"], "ip tuntap add dev rwtest9",
            shell: #"exec setpriv --reuid 65534 --clear-groups "$@""#)
    }

    @Test("More queue pairs than the TAP has queues, or fewer than its descriptors")
    func tapQueues() throws {
        try Namespace.own {
            try run("ip tuntap add dev tap0 mode tap")
            let shell = #"exec "$@""#
            try refused(
                ["--port", "tap:tap0", "--queue-pairs", "2"], "was made for one queue",
                "multi_queue", shell: shell)
        }
    }
}
