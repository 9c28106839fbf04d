import Host
import Programs
import Testing
import VhostUserFrontend
import VirtioSpec

import class Foundation.FileHandle

@Suite("Every way to a socket leads to a disk")
struct SocketTests {
    let folder: Folder

    init() throws { folder = try Folder() }

    /// Writes a block and reads it back over `socket`.
    private func useDisk(_ socket: consuming UnixSocket) throws {
        let driver = try BlockDriver(FrontendConnection(socket), GuestRAM(byteCount: 8 << 20))
        let data = [UInt8](repeating: 0x42, count: 4096)
        #expect(try driver.write(sector: 8, data).status == 0)
        #expect(try driver.read(sector: 8, count: 4096).data == data)
    }

    /// Starts the program with `descriptor` as number 5.
    private func start(on descriptor: consuming OwnedFD, _ more: [String]) throws -> Program {
        let handle = FileHandle(fileDescriptor: descriptor.release(), closeOnDealloc: true)
        let arguments = ["--fd", "5", "--store", "memory:1M"] + more
        return try Program(arguments, shell: #"exec 5<&0 0</dev/null; exec "$@""#, input: handle)
    }

    @Test("A connected socket as a descriptor; the program ends with it")
    func connectedDescriptor() throws {
        let listener = try UnixListener(path: folder["s"])
        let near = try UnixSocket.connect(path: folder["s"])
        let far = try accept(listener)
        let program = try start(on: far.descriptor.duplicate(), [])
        // The program's copy is to be the only one, so that its end is seen.
        _ = consume far
        try useDisk(near)
        #expect(program.end().status == 0)
    }

    @Test("A listening socket as a descriptor, for one front-end after the other")
    func listeningDescriptor() throws {
        let listener = try UnixListener(path: folder["s"])
        let program = try start(on: listener.descriptor.duplicate(), [])
        try useDisk(UnixSocket.connect(path: folder["s"]))
        try useDisk(UnixSocket.connect(path: folder["s"]))
        #expect(program.terminate().0.status == 0)
    }

    @Test("--connect goes to where the VMM listens, and again when it is lost")
    func connecting() throws {
        let program = try Program(
            ["--connect", "--socket-path", folder["s"], "--store", "memory:1M"])
        // It was there first; the socket comes later, and twice.
        try program.waitFor("trying again")
        let listener = try UnixListener(path: folder["s"])
        for _ in 0..<2 { try useDisk(accept(listener)) }
        #expect(program.terminate().0.status == 0)
    }

    private func accept(_ listener: borrowing UnixListener) throws -> UnixSocket {
        var set = PollSet()
        set.add(listener.descriptor.raw)
        try #require(set.wait(milliseconds: 20_000) == 1)
        guard let socket = try listener.accept() else { throw Failure("nobody connected") }
        return socket
    }

    @Test("--exit-on-disconnect ends the program with its first front-end")
    func exitOnDisconnect() throws {
        let program = try Program(
            ["--exit-on-disconnect", "--socket-path", folder["s"], "--store", "memory:1M"])
        try program.waitFor("listening")
        try useDisk(UnixSocket.connect(path: folder["s"]))
        #expect(program.end().status == 0)
    }

    @Test("A descriptor of another kind of socket is refused")
    func wrongKind() throws {
        let datagrams = try DatagramSocket(folder["d"])
        let ended = try start(on: OwnedFD(adopting: datagrams.duplicate()), []).end()
        #expect(ended.status != 0)
        #expect(ended.errors.contains("--fd 5: not an open socket"))
    }
}
