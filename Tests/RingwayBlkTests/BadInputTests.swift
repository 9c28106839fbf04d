import Foundation
import Programs
import Testing

@Suite("A wrong command line gets one line that says what is wrong")
struct BadInputTests {
    let folder: Folder

    init() throws { folder = try Folder() }

    /// Runs with a socket of the test's own and checks the one line.
    private func refused(_ arguments: [String], _ parts: String...) throws {
        let ended = try Program.run(["--socket-path", folder["s"]] + arguments)
        #expect(ended.status != 0)
        #expect(ended.errorLines.count == 1, "\(ended.errors)")
        #expect(ended.output.isEmpty)
        for part in parts { #expect(ended.errors.contains(part), "\(ended.errors)") }
        #expect(!FileManager.default.fileExists(atPath: folder["s"]))
    }

    @Test("A file that is not there")
    func missingFile() throws {
        let path = folder["nowhere.img"]
        try refused(["--blk-file", path], path, "no such file", "truncate -s")
    }

    @Test("A directory")
    func directory() throws {
        try refused(["--blk-file", folder.path], folder.path, "is a directory")
    }

    @Test("A character device")
    func characterDevice() throws {
        try refused(["--blk-file", "/dev/null"], "neither a regular file nor a block device")
    }

    @Test("A FIFO, without waiting for its other end")
    func fifo() throws {
        let made = unsafe mkfifo(folder["pipe"], 0o600)
        #expect(made == 0)
        try refused(["--blk-file", folder["pipe"]], "neither a regular file nor a block device")
    }

    @Test("An empty file")
    func emptyFile() throws {
        try refused(["--blk-file", folder.disk(bytes: 0)], "is empty", "truncate -s")
    }

    @Test("A size that is no multiple of the block", arguments: [(513, "512"), (4608, "4096")])
    func oddSize(bytes: UInt64, block: String) throws {
        try refused(
            ["--blk-file", folder.disk(bytes: bytes), "--block-size", block], "\(bytes) bytes",
            "block size \(block)", "truncate -s %\(block)")
    }

    @Test("A file without permission")
    func noPermission() throws {
        let path = try folder.disk()
        let manager = FileManager.default
        try manager.setAttributes([.posixPermissions: 0o000], ofItemAtPath: path)
        try manager.setAttributes([.posixPermissions: 0o777], ofItemAtPath: folder.path)
        // Root may open anything, so the program runs as somebody else.
        let ended = try Program.run(
            ["--socket-path", folder["s"], "--blk-file", path],
            shell: getuid() == 0 ? #"exec setpriv --reuid 65534 --clear-groups "$@""# : nil)
        #expect(ended.status != 0)
        #expect(ended.errorLines.count == 1, "\(ended.errors)")
        #expect(ended.errors.contains("\(path): permission denied"), "\(ended.errors)")
    }

    @Test("No disk, or two")
    func diskCount() throws {
        try refused([], "no disk", "--blk-file")
        try refused(["--blk-file", "a", "--store", "null:1M"], "two disks")
    }

    @Test("Both --fd and --socket-path, or neither")
    func socketCount() throws {
        try refused(["--fd", "3", "--blk-file", folder.disk()], "exclude each other")
        let ended = try Program.run(["--store", "null:1M"])
        #expect(ended.status != 0)
        #expect(ended.errors.contains("no socket"))
    }

    @Test("A descriptor that is no socket", arguments: ["1", "9", "-4"])
    func wrongDescriptor(number: String) throws {
        let ended = try Program.run(["--fd=\(number)", "--store", "null:1M"])
        #expect(ended.status != 0)
        #expect(ended.errorLines.count == 1)
        #expect(ended.errors.contains("--fd \(number): not an open socket"), "\(ended.errors)")
    }

    @Test("A socket path that is too long")
    func longPath() throws {
        let path = folder["x"] + String(repeating: "y", count: 108)
        let ended = try Program.run(["--socket-path", path, "--store", "null:1M"])
        #expect(ended.status != 0)
        #expect(ended.errors.contains("\(path.utf8.count) bytes"), "\(ended.errors)")
        #expect(ended.errors.contains("107"))
    }

    @Test("A path that holds something else than a socket")
    func pathIsAFile() throws {
        let path = try folder.disk("s")
        let ended = try Program.run(["--socket-path", path, "--store", "null:1M"])
        #expect(ended.status != 0)
        #expect(ended.errors.contains("is no socket"), "\(ended.errors)")
        #expect(FileManager.default.fileExists(atPath: path))
    }

    @Test(
        "Values out of range",
        arguments: [
            (["--block-size", "1024"], "--block-size"), (["--num-queues", "0"], "--num-queues"),
            (["--num-queues", "257"], "--num-queues"),
            (["--queue-size-max", "100"], "power of two"),
            (["--serial", "123456789012345678901"], "at most 20"), (["--cpus", "3-1"], "--cpus"),
            (["--cpus", "1,,2"], "--cpus"), (["--numa", "north"], "--numa"),
            (["--numa", "99"], "--numa"), (["--cache", "fast"], "fast"),
            (["--socket-mode", "9"], "--socket-mode"), (["--cache", "direct"], "files and block"),
            (["--socket-owner", "no-such-user"], "no such user"), (["--frobnicate"], "frobnicate"),
        ])
    func values(arguments: [String], part: String) throws {
        try refused(["--store", "memory:1M"] + arguments, part)
    }

    @Test(
        "A store that is none",
        arguments: [
            "memory:", "memory:0", "memory:12Q", "null:-1", "raw:", "tape:1", "memory:99999999P",
        ])
    func store(uri: String) throws {
        try refused(["--store", uri], uri)
    }
}
