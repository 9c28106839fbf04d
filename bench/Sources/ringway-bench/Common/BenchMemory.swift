import Host
import VhostUserFrontend

/// The guest memory of a run.
enum BenchMemory {
    /// - Parameter bytes: whole huge pages.
    static func make(bytes: UInt64, hugePages: Bool) throws -> GuestRAM {
        let ram = try GuestRAM([.init(byteCount: bytes, hugePages: hugePages)])
        // Touched now, as a guest's memory is when its devices start. Huge pages that the pool does
        // not have are missed only then.
        for address in stride(from: 0, to: bytes, by: hugePages ? 2 << 20 : 4096) {
            ram.fill(0, count: 1, at: address)
        }
        guard !ram.place(0).mapping.isLost else {
            throw BenchError(
                "--huge-pages: \(bytes >> 21) pages of 2 MiB are not free; see"
                    + " /proc/sys/vm/nr_hugepages")
        }
        return ram
    }

    /// What a ring takes at most, alignment to pages included.
    /// - Parameter tables: one for each entry, for indirect descriptors.
    static func ringBytes(size: Int, tables: Bool) -> Int {
        size * (16 + 8 + 2) + (tables ? size * 256 : 0) + 4 * 4096
    }

    /// Up to whole huge pages.
    static func rounded(_ bytes: Int) -> UInt64 {
        UInt64((bytes + (2 << 20) - 1) / (2 << 20) * (2 << 20))
    }

    /// Connects to a back-end.
    static func connect(_ socket: String) throws -> FrontendConnection {
        do throws(FrontendError) { return try FrontendConnection(path: socket) } catch {
            guard case .system(let reason) = error else { throw error }
            throw BenchError("\(socket): \(reason); is a back-end listening there?")
        }
    }
}
