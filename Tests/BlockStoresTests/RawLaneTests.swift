import BlockStores
import Host
import Testing

import class Foundation.FileManager
import func Foundation.NSTemporaryDirectory
import class Foundation.Process
import struct Foundation.URL
import struct Foundation.UUID

@Suite("A raw file keeps what is written and gives it back", .serialized)
struct RawLaneTests {
    /// 6 MiB to fill files with, made once.
    private static let noisy = noise(6 << 20, seed: 11)

    private func write(_ offset: Int, _ count: Int) -> StoreRequest {
        StoreRequest(.write, offset: UInt64(offset), count: UInt64(count))
    }

    private func read(_ offset: Int, _ count: Int) -> StoreRequest {
        StoreRequest(.read, offset: UInt64(offset), count: UInt64(count))
    }

    @Test(
        "In any number of buffers, more than one system call takes included",
        arguments: [
            (1 << 20, 1 << 20), (4096, 16), (512, 1024), (512, 1025), (512, 3000), (7, 4001),
        ],
        [false, true])
    func buffers(shape: (piece: Int, count: Int), isDurable: Bool) throws {
        let (piece, count) = shape
        let file = try ScratchFile(bytes: 4 << 20)
        let bench = try LaneBench<RawLane>(RawStore(path: file.path))
        let bytes = noise(min(piece * count, 2 << 20), seed: UInt64(piece * count))
        let pieces = bench.list(64, bytes.count, piece: piece, gap: 3)
        bench.put(bytes, pieces)
        var request = write(1536, bytes.count)
        request.isDurable = isDurable
        #expect(bench.run(request, pieces) == .ok)
        for piece in pieces { bench.memory.fill(0, at: piece.lowerBound, count: piece.count) }
        #expect(bench.run(read(1536, bytes.count), pieces) == .ok)
        #expect(bench.get(pieces) == bytes)
    }

    @Test(
        "Past the page cache, however the memory and the range lie",
        arguments: [
            (0, 4096, 0), (1, 4096, 0), (512, 512, 512), (3, 512, 512), (0, 8192, 512),
            (1, 1 << 20, 1024), (0, 512, 4096), (100, 700 << 10, 7 * 512),
        ])
    func direct(memory: Int, count: Int, offset: Int) throws {
        let file = try ScratchFile(bytes: 4 << 20, in: FileManager.default.currentDirectoryPath)
        let store = try RawStore(path: file.path, .init(isDirect: true))
        let bench = try LaneBench<RawLane>(store)
        let all = Array(Self.noisy.prefix(4 << 20))
        bench.put(all, [0..<4 << 20])
        #expect(bench.run(write(0, 4 << 20), [0..<4 << 20]) == .ok)
        let bytes = noise(count, seed: UInt64(count + offset))
        let pieces = bench.list((8 << 20) + memory, count, piece: max(512, count / 3 / 512 * 512))
        bench.put(bytes, pieces)
        #expect(bench.run(write(offset, count), pieces) == .ok)
        #expect(bench.run(StoreRequest(.flush)) == .ok)
        #expect(bench.run(read(0, 4 << 20), [0..<4 << 20]) == .ok)
        var expected = all
        expected.replaceSubrange(offset..<offset + count, with: bytes)
        #expect(bench.get([0..<4 << 20]) == expected)
        bench.memory.fill(0, at: 8 << 20, count: 2 << 20)
        #expect(bench.run(read(offset, count), pieces) == .ok)
        #expect(bench.get(pieces) == bytes)
    }

    @Test("Many at once come back each with its own")
    func manyAtOnce() throws {
        let file = try ScratchFile(bytes: 4 << 20)
        let bench = try LaneBench<RawLane>(RawStore(path: file.path))
        for slot in 0..<64 {
            bench.put(noise(4096, seed: UInt64(slot + 1)), [slot * 4096..<(slot + 1) * 4096])
            let piece = slot * 4096..<(slot + 1) * 4096
            #expect(bench.start(write((63 - slot) * 4096, 4096), [piece], slot: slot) == nil)
        }
        var ended: Set<Int> = []
        for _ in 0..<64 {
            let (slot, outcome) = bench.wait()
            #expect(outcome == .ok)
            #expect(ended.insert(slot).inserted)
        }
        for slot in 0..<64 {
            #expect(bench.run(read((63 - slot) * 4096, 4096), [0..<4096]) == .ok)
            #expect(bench.get([0..<4096]) == noise(4096, seed: UInt64(slot + 1)))
        }
    }

    @Test("A file that has become shorter gives an I/O error, and the next request works")
    func shrunken() throws {
        let file = try ScratchFile(bytes: 1 << 20)
        let bench = try LaneBench<RawLane>(RawStore(path: file.path))
        try file.resize(4096)
        #expect(bench.run(read(8192, 4096), [0..<4096]) == .failed(SystemErrorCode.ioError))
        // Half of it is still there: no part of a request may pass for the whole.
        #expect(bench.run(read(0, 8192), [0..<8192]) == .failed(SystemErrorCode.ioError))
        #expect(bench.run(read(0, 4096), [0..<4096]) == .ok)
    }

    @Test("A full file system gives ENOSPC, and what was there stays")
    func full() throws {
        let small = try SmallFileSystem(bytes: 1 << 20)
        let file = try ScratchFile(bytes: 8 << 20, in: small.path)
        let bench = try LaneBench<RawLane>(RawStore(path: file.path))
        let bytes = noise(4096, seed: 3)
        bench.put(bytes, [0..<4096])
        #expect(bench.run(write(0, 4096), [0..<4096]) == .ok)
        #expect(
            bench.run(write(4096, 2 << 20), [0..<2 << 20]) == .failed(SystemErrorCode.noSpace))
        #expect(bench.run(read(0, 4096), [0..<4096]) == .ok)
        #expect(bench.get([0..<4096]) == bytes)
    }

    @Test("The last sector of 4 TiB is written and read, and costs no space")
    func fourTebibytes() throws {
        let file = try ScratchFile(bytes: 4 << 40)
        let store = try RawStore(path: file.path)
        #expect(store.byteCount == 4 << 40)
        let bench = try LaneBench<RawLane>(store)
        let bytes = noise(512, seed: 5)
        bench.put(bytes, [0..<512])
        let last = (4 << 40) - 512
        #expect(bench.run(write(last, 512), [0..<512]) == .ok)
        #expect(bench.run(read(last, 512), [4096..<4608]) == .ok)
        #expect(bench.get([4096..<4608]) == bytes)
        let wide = StoreRequest(.zeroAndUnmap, offset: 1 << 40, count: 2 << 40)
        #expect(bench.run(wide) == .ok)
        #expect(try blocks(file.path) < 1024)
    }

    @Test(
        "Ranges read as zero afterwards, on file systems with and without a call for it",
        arguments: [StoreRequest.Kind.zero, .zeroAndUnmap, .discard],
        [("/dev/shm", false), ("/dev/shm", true), (".", false), (".", true)])
    func ranges(kind: StoreRequest.Kind, way: (folder: String, isDurable: Bool)) throws {
        let file = try ScratchFile(bytes: 6 << 20, in: way.folder)
        let bench = try LaneBench<RawLane>(RawStore(path: file.path))
        let bytes = Self.noisy
        bench.put(bytes, [0..<6 << 20])
        #expect(bench.run(write(0, 6 << 20), [0..<6 << 20]) == .ok)
        let before = try blocks(file.path)
        // Not at a page's border, and longer than one call writes zeroes.
        let range = 512..<(5 << 20) + 1536
        let request = StoreRequest(
            kind, offset: UInt64(range.lowerBound), count: UInt64(range.count),
            isDurable: way.isDurable)
        #expect(bench.run(request) == .ok)
        #expect(bench.run(StoreRequest(kind, offset: 4096, count: 0)) == .ok)
        #expect(bench.run(read(0, 6 << 20), [0..<6 << 20]) == .ok)
        var expected = bytes
        expected.replaceSubrange(range, with: repeatElement(0, count: range.count))
        #expect(bench.get([0..<6 << 20]) == expected)
        let gaveBack = try blocks(file.path) < before / 2
        #expect(gaveBack == (kind != .zero))
    }

    /// 512-byte blocks that the file takes.
    private func blocks(_ path: String) throws -> Int {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/stat")
        process.arguments = ["-c", "%b", path]
        return try Int(output(of: process)) ?? -1
    }
}
