import CLinux
import GuestMemory
import Host
import Testing
import VirtioSpec

/// A memfd of `count` bytes with a name that nothing else in this process has.
struct MemoryFile: ~Copyable {
    let descriptor: OwnedFD
    let name: String

    init(_ count: UInt64, _ name: String = "plain", flags: UInt32 = 0) throws {
        let name = "ringway-\(name)-\(UInt64.random(in: 0...UInt64.max))"
        let raw = unsafe memfd_create(name, UInt32(MFD_CLOEXEC) | flags)
        try #require(raw >= 0, "memfd_create: errno \(clinux_errno())")
        let file = OwnedFD(adopting: raw)
        try #require(ftruncate(raw, Int(count)) == 0, "ftruncate: errno \(clinux_errno())")
        self.name = name
        descriptor = file
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
        // Room for far more lines than there are; a file of /proc does not say how long it is.
        let memory = try Mapping.anonymous(count: 64 << 20)
        let count = try File.read(
            File.open("/proc/self/\(file)", []), at: 0, into: memory, at: 0, count: memory.count)
        return String(decoding: memory.bytes(at: 0, count: count), as: UTF8.self)
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
