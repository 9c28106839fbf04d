import Host
import VirtioSpec

import struct Foundation.Data
import class Foundation.FileManager
import func Foundation.NSTemporaryDirectory
import class Foundation.Pipe
import struct Foundation.UUID

/// Open files of every kind that a front-end might send.
final class TestFiles {
    enum Kind: Sendable { case memory, small, socket, pipe, directory, null, readOnly }

    private let memory: SharedMemory
    private let small: SharedMemory
    private let sockets: UnixSocketPair
    private let pipe = Pipe()
    private let directory: OwnedFD
    private let null: OwnedFD
    private let readOnly: OwnedFD

    init() throws {
        memory = try SharedMemory(count: 4 << 20)
        small = try SharedMemory(count: 4096)
        sockets = try UnixSocket.pair()
        directory = try File.open("/tmp", [])
        null = try File.open("/dev/null", .writable)
        readOnly = try File.open("/proc/self/exe", [])
    }

    func raw(_ kind: Kind) -> Int32 {
        switch kind {
        case .memory: memory.descriptor.raw
        case .small: small.descriptor.raw
        case .socket: sockets.one.descriptor.raw
        case .pipe: pipe.fileHandleForReading.fileDescriptor
        case .directory: directory.raw
        case .null: null.raw
        case .readOnly: readOnly.raw
        }
    }
}

/// A pipe whose reading end is given away; the writing end sees when nobody holds that any more.
final class Watched {
    private let pipe = Pipe()

    /// Lends the end's number, then closes it here.
    func give(_ body: (Int32) throws -> Void) throws {
        try body(pipe.fileHandleForReading.fileDescriptor)
        try pipe.fileHandleForReading.close()
    }

    var isLetGo: Bool {
        do {
            try pipe.fileHandleForWriting.write(contentsOf: Data([1]))
            return false
        } catch { return true }
    }
}

/// An eventfd with an owner that can be passed on.
final class Event {
    private let event: EventFD

    init() throws { event = try EventFD() }

    var raw: Int32 { event.descriptor.raw }
    func signal() { event.signal() }
    /// Takes what was signalled; false where nothing was.
    func take() -> Bool { event.drain() }
    func wait() -> Bool { event.wait(milliseconds: 10_000) }
}

/// A file of a test's own, gone with it.
final class TemporaryFile {
    let path: String

    init(byteCount: UInt64) throws {
        path = NSTemporaryDirectory() + "ringway-\(UUID().uuidString.prefix(8)).img"
        let file = try File.open(path, [.create, .writable])
        try File.resize(file, to: byteCount)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
