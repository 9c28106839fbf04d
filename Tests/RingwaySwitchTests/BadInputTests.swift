import Foundation
import HostNetwork
import Programs
import Testing

@Suite("A wrong command line of ringway-switch gets one line that says what is wrong")
struct BadInputTests {
    let folder: Folder

    init() throws { folder = try Folder() }

    private var ports: [String] { ["--port", folder["a"], "--port", folder["b"]] }

    /// Checks the one line, and that no socket is left.
    private func refused(_ arguments: [String], _ parts: String..., shell: String? = nil) throws {
        let ended = try Program.run(arguments, shell: shell)
        #expect(ended.status != 0)
        #expect(ended.errorLines.count == 1, "\(ended.errors)")
        #expect(ended.errors.hasPrefix("ringway-switch: "), "\(ended.errors)")
        #expect(ended.output.isEmpty)
        for part in parts { #expect(ended.errors.contains(part), "\(ended.errors)") }
        for name in ["a", "b"] { #expect(!FileManager.default.fileExists(atPath: folder[name])) }
    }

    @Test("No port, the same twice, or too many")
    func portCount() throws {
        try refused([], "no port", "--port SOCKET")
        try refused(ports + ["--port", folder["a"]], folder["a"], "given twice")
        let many = (0..<65).flatMap { ["--port", folder["p\($0)"]] }
        try refused(many, "65 of them", "64 at most")
        try refused(Array(many.dropLast(2)) + ["--uplink", "tap:x"], "63 at most")
    }

    @Test(
        "Values out of range",
        arguments: [
            (["--mtu", "67"], "68 to 65535"), (["--queue-size-max", "100"], "power of two"),
            (["--cpus", "3-1"], "--cpus"), (["--cpus", "0,1"], "name one processor"),
            (["--numa", "99"], "--numa"), (["--poll-us", "1000001"], "at most 1000000"),
            (["--socket-mode", "9"], "--socket-mode"),
            (["--socket-owner", "no-such-user"], "no such"),
            (["--socket-group", "no-such-group"], "no such group"),
            (["--log-level", "loud"], "loud"),
            (["--uplink", "loopback:"], "not tap:NAME or tapfd:N"), (["--uplink", "tap0"], "tap0"),
            (["--uplink", "tapfd:5,6"], "not tap:NAME or tapfd:N"),
            (["--uplink", "tapfd:99"], "no TAP's descriptor"), (["--uplink", "tap:lo"], "no TAP"),
            (["--vlan", "3=access:10"], "3"), (["--vlan", "1=access:0"], "1 to 4094"),
            (["--vlan", "1=access:4095"], "1 to 4094"), (["--vlan", "1=tape:1"], "1=tape:1"),
            (["--vlan", "access:10"], "access:10"),
            (["--vlan", "1=access:1", "--vlan", "1=access:2"], "1=access:2"),
            (["--pcap", "/dev/null"], "not a regular file"),
            (["--pcap-limit", "0"], "1 MiB at least"),
            (["--pcap", "/nowhere/p"], "no such folder"), (["--frobnicate"], "frobnicate"),
        ])
    func values(arguments: [String], part: String) throws {
        try refused(ports + arguments, part)
    }

    @Test("A socket's path that is too long, in no folder, or something else")
    func socketPath() throws {
        let long = folder["x"] + String(repeating: "y", count: 108)
        try refused(ports + ["--port", long], "--port", "\(long.utf8.count) bytes")
        try refused(ports + ["--port", folder["nowhere/s"]], "no such folder")
        try refused(ports + ["--port", try folder.disk("f")], "is no socket")
    }

    @Test("A capture is not emptied by a start that fails for another reason")
    func captureKept() throws {
        let path = try folder.disk("p", bytes: 77)
        let taken = try folder.disk("f")
        for more in [["--uplink", "tapfd:99"], ["--port", taken], ["--numa", "x"]] {
            try refused(ports + more + ["--pcap", path])
            #expect(try folder.bytes("p").count == 77, "\(more)")
        }
    }

    @Test("Without permission to make a TAP, what to do")
    func uplinkWithoutPermission() throws {
        guard getuid() == 0 else { return }
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o777], ofItemAtPath: folder.path)
        try refused(
            ports + ["--uplink", "tap:rwtest8"], "ip tuntap add dev rwtest8",
            shell: #"exec setpriv --reuid 65534 --clear-groups "$@""#)
    }
}
