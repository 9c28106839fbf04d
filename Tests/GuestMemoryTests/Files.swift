import GuestMemory
import Host
import Testing
import VirtioSpec

/// A memfd of `count` bytes with a name that nothing else in this process has, mapped nowhere.
struct MemoryFile: ~Copyable {
    let descriptor: OwnedFD
    let name: String

    init(_ count: UInt64, hugePages: Bool = false, sealed: Bool = false) throws {
        let name = "ringway-\(UInt64.random(in: 0...UInt64.max))"
        let memory = try SharedMemory(
            count: Int(count), name: name, hugePages: hugePages, sealed: sealed)
        descriptor = try memory.descriptor.duplicate()
        self.name = name
    }

    /// The same file, for reading alone.
    func readOnly() throws -> OwnedFD { try File.open("/proc/self/fd/\(descriptor.raw)", []) }
}

/// What the kernel says of this process's mappings of one file.
enum Maps {
    /// Bytes of each mapping of the file called `name`.
    static func lengths(of name: String) throws -> [UInt64] {
        try text("maps").split(separator: "\n").filter { $0.contains(name) }.map { line in
            let range = line.prefix { $0 != " " }.split(separator: "-")
            let ends = range.compactMap { UInt64($0, radix: 16) }
            try #require(ends.count == 2, "\(line)")
            return ends[1] - ends[0]
        }
    }

    /// The two-letter flags of each mapping of the file called `name`.
    static func flags(of name: String) throws -> [Set<Substring>] {
        let lines = try text("smaps").split(separator: "\n")
        let starts = lines.indices.filter { lines[$0].contains(name) }
        return starts.map { start in
            let flags = lines[start...].first { $0.hasPrefix("VmFlags:") } ?? ""
            return Set(flags.split(separator: " ").dropFirst())
        }
    }

    private static func text(_ file: String) throws -> String {
        try Files.text("/proc/self/\(file)")
    }
}

enum Files {
    /// What a file of the kernel's holds; it does not say beforehand how much.
    static func text(_ path: String) throws -> String {
        let file = try File.open(path, [])
        let memory = try Mapping.anonymous(count: 4096)
        var bytes: [UInt8] = []
        while true {
            let count = try File.read(
                file, at: UInt64(bytes.count), into: memory, at: 0, count: memory.count)
            bytes += memory.bytes(at: 0, count: count)
            guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
        }
    }

    static func write(_ text: String, to path: String) throws {
        let bytes = Array(text.utf8)
        let memory = try Mapping.anonymous(count: bytes.count)
        memory.write(bytes.span, at: 0)
        try File.write(
            File.open(path, .writable), at: 0, from: memory, at: 0, count: bytes.count)
    }
}

extension MemoryRegion {
    /// A region at `guest`, by default at user address `guest` + 1 TiB.
    static func at(
        _ guest: UInt64, _ count: UInt64, user: UInt64? = nil, offset: UInt64 = 0
    ) -> MemoryRegion {
        MemoryRegion(
            guestAddress: guest, byteCount: count, userAddress: user ?? guest + (1 << 40),
            fileOffset: offset)
    }
}
