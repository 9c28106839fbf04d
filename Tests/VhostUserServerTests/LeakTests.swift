import Foundation
import Host
import Testing
import VhostUserFrontend
import VirtioSpec

@Suite("Sessions leave nothing behind")
struct LeakTests {
    /// What the system says a process holds.
    private struct Holdings: Equatable {
        let descriptors: Int
        let threads: Int
        let guestMappings: Int

        init(_ process: Int32) throws {
            let folder = "/proc/\(process)"
            let files = FileManager.default
            descriptors = try files.contentsOfDirectory(atPath: folder + "/fd").count
            threads = try files.contentsOfDirectory(atPath: folder + "/task").count
            let maps = try String(contentsOfFile: folder + "/maps", encoding: .utf8)
            guestMappings = maps.split(separator: "\n").count { $0.contains("memfd:") }
        }
    }

    /// A ringway-blk of its own, so that other tests' descriptors are not counted.
    private final class Program {
        let process = Process()
        let socket = NSTemporaryDirectory() + "ringway-\(UUID().uuidString.prefix(8)).sock"

        init() throws {
            let bundle = URL(fileURLWithPath: CommandLine.arguments[0])
            process.executableURL =
                bundle.deletingLastPathComponent().appendingPathComponent("ringway-blk")
            process.arguments = [
                "--socket-path", socket, "--store", "memory:8M", "--num-queues", "4",
            ]
            process.standardError = FileHandle.nullDevice
            process.standardOutput = FileHandle.nullDevice
            try process.run()
        }

        /// Connects as soon as the program listens.
        func connect() throws -> FrontendConnection {
            let found = soon { (try? FrontendConnection(path: socket)) != nil }
            try #require(found)
            return try FrontendConnection(path: socket)
        }

        deinit {
            process.terminate()
            process.waitUntilExit()
        }
    }

    /// As much of a session as `steps` allows.
    private static func session(
        _ connection: FrontendConnection, _ ram: GuestRAM, steps: Int
    ) throws {
        var left = steps
        func step(_ body: () throws -> Void) throws {
            left -= 1
            if left >= 0 { try body() }
        }
        let queues = try (0..<4).map { _ in try SplitDriverQueue(ram, size: 16) }
        let region = ram.regions[0]
        let file = region.memory.descriptor.raw
        let sockets = try UnixSocket.pair()
        var features = Features()
        try step { features = try connection.featuresOfSplitRings() }
        try step { try connection.setProtocolFeatures(connection.protocolFeaturesOffered()) }
        try step { try connection.tell(.setOwner) }
        try step { try connection.setFeatures(features) }
        try step {
            try connection.tell(
                .setBackendRequestFD, descriptors: [sockets.other.descriptor.raw])
        }
        try step { try connection.setMemoryTable(ram) }
        for (index, queue) in queues.enumerated() {
            let ring = UInt32(index)
            try step { try connection.describe(ring, queue) }
            let own = [
                queue.kick.descriptor.raw, queue.call.descriptor.raw, queue.error.descriptor.raw,
            ]
            for _ in 0..<2 {
                try step { try connection.setVringFD(.setVringError, ring, own[2]) }
                try step { try connection.setVringFD(.setVringCall, ring, own[1]) }
                try step { try connection.setVringFD(.setVringKick, ring, own[0]) }
            }
            try step {
                try connection.setVringFD(.setVringKick, ring, queue.kick.descriptor.raw)
            }
            try step { try connection.setVringEnable(ring, 1) }
            let place = ram.allocate(1024)
            ram.fill(0, count: 16, at: place)
            _ = queue.offer([.readable(place, 16), .writable(place + 16, 513)], token: 0)
            try step { queue.submit() }
        }
        try step { try connection.setMemoryTable(ram) }
        var other = region.description
        other.guestAddress += 1 << 40
        other.userAddress += 1 << 40
        try step { try connection.addRegion(other, descriptor: file) }
        try step { try connection.removeRegion(other) }
        try step { try connection.setMemoryTable(ram) }
        // One that is refused, with descriptors that nobody takes.
        let header = Bytes.of(UInt32(8)) + Bytes.of(UInt32(1)) + Bytes.of(UInt32(8))
        let files = Array(repeating: file, count: 20)
        try step { try connection.sendRaw(header, descriptors: files) }
        try step { try connection.sendRaw([0]) }
        ram.reset()
    }

    @Test("500 sessions that end anywhere leave no descriptor, thread or mapping")
    func sessions() throws {
        let program = try Program()
        let ram = try GuestRAM(byteCount: 1 << 20)
        let steps = 56
        func holdings(after sessions: Int) throws -> Holdings {
            for number in 0..<sessions {
                let steps = number == 0 ? steps : number * 13 % steps
                try Self.session(program.connect(), ram, steps: steps)
            }
            // Served, so those before are over.
            let connection = try program.connect()
            #expect(connection.isAlive())
            return try Holdings(program.process.processIdentifier)
        }
        let first = try holdings(after: 10)
        // The main thread and a worker at least.
        #expect(first.threads >= 2 && first.guestMappings == 0)
        #expect(try holdings(after: 490) == first)
    }
}
