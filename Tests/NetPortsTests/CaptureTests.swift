import Host
import HostNetwork
import NetPorts
import Randomness
import Testing

import func Foundation.NSTemporaryDirectory
import struct Foundation.UUID

func scratchPath(_ kind: String) -> String {
    NSTemporaryDirectory() + "ringway-\(UUID().uuidString.prefix(8)).\(kind)"
}

/// A path for a capture, removed with it.
final class CaptureFile {
    let path: String

    init(in folder: String? = nil) { path = folder.map { $0 + "/c" } ?? scratchPath("pcapng") }

    func bytes() throws -> [UInt8] {
        let file = try File.open(path, [])
        let count = Int(try File.byteCount(file))
        let memory = try Mapping.anonymous(count: max(1, count))
        return memory.bytes(
            at: 0, count: try File.read(file, at: 0, into: memory, at: 0, count: count))
    }

    func read() throws -> Pcapng { try Pcapng(bytes()) }

    deinit { File.remove(path) }
}

@Suite("Captures in pcapng")
struct CaptureTests {
    @Test("What crosses is in the file: bytes, direction and time")
    func contents() throws {
        var random = Seeded()
        let file = CaptureFile()
        let buffers = try Buffers()
        let capture = try Capture(path: file.path, limit: 1 << 30)
        var expected: [Pcapng.Packet] = []
        let before = Clock.sinceEpoch()
        for count in Array(0...70) + [1514, 9014, 65_550] {
            let packet = random.bytes(count)
            let pieces = buffers.pieces(12 + count + 100, most: 1 + count / 3, &random)
            buffers.put(random.bytes(12) + packet, pieces)
            let direction: Capture.Direction = count % 3 == 0 ? .intoGuest : .outOfGuest
            // 100 bytes of the buffers hold nothing of it.
            capture.record(buffers.list(pieces), from: 12, upTo: 12 + count, direction)
            expected.append(.init(time: 0, bytes: packet, direction: count % 3 == 0 ? 1 : 2))
        }
        let after = Clock.sinceEpoch()
        let read = try file.read()
        #expect(read.program == "ringway")
        #expect(read.linkType == 1)
        #expect(read.snapLength >= 65_550)
        #expect(read.timeResolution == 9)
        let times = read.packets.map(\.time)
        #expect(times == times.sorted() && times.allSatisfy { before <= $0 && $0 <= after })
        let timeless = read.packets.map {
            Pcapng.Packet(time: 0, bytes: $0.bytes, direction: $0.direction)
        }
        #expect(timeless == expected, "\(random.note)")
        let bytes = UInt64(try file.bytes().count)
        #expect(capture.totals.bytes == bytes && capture.totals.missed == 0)
        #expect(capture.totals.packets == UInt64(expected.count))
    }

    @Test("Without an end the packet ends with the buffers; what is no packet is left out")
    func ranges() throws {
        let file = CaptureFile()
        let buffers = try Buffers()
        let capture = try Capture(path: file.path, limit: 1 << 20)
        buffers.put(Array(0..<40), [0..<40])
        capture.record(buffers.list([0..<40]), from: 30, .outOfGuest)
        capture.record(buffers.list([0..<40]), from: 10, upTo: 4000, .outOfGuest)
        capture.record(buffers.list([0..<40]), from: 41, .outOfGuest)
        capture.record(buffers.list([0..<40]), from: 12, upTo: 11, .outOfGuest)
        #expect(try file.read().packets.map(\.bytes) == [Array(30..<40), Array(10..<40)])
    }

    @Test(
        "It stops at its limit, with whole blocks", arguments: [0, 75, 76, 500, 1131, 1132, 1133])
    func limit(bytes: UInt64) throws {
        let file = CaptureFile()
        let buffers = try Buffers()
        let capture = try Capture(path: file.path, limit: bytes)
        for _ in 0..<20 { capture.record(buffers.list([0..<62]), from: 12, .intoGuest) }
        // 76 bytes begin the file, and 50 of a packet take 96.
        let fit = bytes < 76 ? 0 : min(20, (bytes - 76) / 96)
        let expected = bytes < 76 ? 0 : 76 + fit * 96
        #expect(try file.bytes().count == expected)
        #expect(capture.totals.packets == fit && capture.totals.missed == 20 - fit)
        #expect(capture.totals.stop == .limit)
        // Nothing smaller comes after what had no room.
        capture.record(buffers.list([0..<1]), from: 1, .intoGuest)
        #expect(try file.bytes().count == expected)
    }

    @Test("Several threads record at once, and every packet is whole")
    func threads() throws {
        let file = CaptureFile()
        let capture = try Capture(path: file.path, limit: 1 << 30)
        try together(4) { number in
            guard let buffers = try? Buffers() else { return }
            buffers.memory.fill(UInt8(number), at: 0, count: 2000)
            for count in 0..<400 {
                capture.record(buffers.list([0..<12 + count]), from: 12, .intoGuest)
            }
        }
        let packets = try file.read().packets
        #expect(packets.count == 1600)
        for number in 0..<4 as Range<UInt8> {
            let own = packets.map(\.bytes).filter { $0.first == number }
            #expect(own.map(\.count) == Array(1..<400))
            #expect(own.allSatisfy { $0.allSatisfy { $0 == number } })
        }
    }

    @Test("A full disk stops it, and what is there is whole")
    func fullDisk() throws {
        let folder = scratchPath("mount")
        try run("mkdir \(folder)")
        try run("mount -t tmpfs -o size=64k ringway-test \(folder)")
        defer { try? run("umount --lazy \(folder)"); try? run("rmdir \(folder)") }
        let file = CaptureFile(in: folder)
        let buffers = try Buffers()
        let capture = try Capture(path: file.path, limit: 1 << 30)
        for _ in 0..<100 { capture.record(buffers.list([0..<1500]), from: 0, .intoGuest) }
        let read = try file.read()
        #expect(read.packets.count == 42)
        #expect(capture.totals.packets == 42 && capture.totals.missed == 58)
        let full = SystemError("pwrite", SystemErrorCode.noSpace)
        #expect(capture.totals.stop == .failed(full))
    }

    @Test("Memory that the guest has lost costs its packet alone")
    func lostMemory() throws {
        let file = CaptureFile()
        let buffers = try Buffers()
        let memory = try SharedMemory(count: 1 << 20)
        try memory.truncate(to: 0)
        let capture = try Capture(path: file.path, limit: 1 << 20)
        var list = IOVectors(capacity: 2)
        let isListed =
            list.append(buffers.memory, count: 20_000) && list.append(memory.mapping, count: 100)
        #expect(isListed)
        capture.record(list, from: 0, .outOfGuest)
        capture.record(buffers.list([0..<60]), from: 0, .outOfGuest)
        #expect(try file.read().packets.count == 1)
        #expect(capture.totals.missed == 1 && capture.totals.stop == nil)
    }

    @Test("A file is emptied first, and is one capture's at a time")
    func oneEach() throws {
        let file = CaptureFile()
        try File.resize(try File.open(file.path, [.writable, .create]), to: 9999)
        let first = try Capture(path: file.path, limit: 1 << 20)
        #expect(try file.read().packets.isEmpty)
        #expect(throws: PortFault.captureInUse(file.path, nil)) {
            try Capture(path: file.path, limit: 1 << 20)
        }
        #expect(first.totals.bytes == 76)
    }

    @Test("What is no file is refused")
    func noFile() throws {
        let pipe = CaptureFile()
        try run("mkfifo \(pipe.path)")
        #expect(throws: PortFault.notAFile(pipe.path)) { try Capture(path: pipe.path, limit: 1000) }
        #expect(throws: PortFault.notAFile("/dev/null")) {
            try Capture(path: "/dev/null", limit: 1000)
        }
        let absent = SystemError("open", SystemErrorCode.noEntry)
        #expect(throws: PortFault.capture("/no/where", absent)) {
            try Capture(path: "/no/where", limit: 1000)
        }
    }
}

/// Runs `body` on `count` threads at once, and waits for them.
private func together(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) throws {
    guard count > 0 else { return }
    let thread = try Thread(name: "recorder") { body(count - 1) }
    try together(count - 1, body)
    thread.join()
}
