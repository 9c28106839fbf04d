/// One line of the comparison: a load on a store, and how many times the best peer's IOPS are wanted.
struct BlkLine: ComparedLine {
    let name: String
    let title: String
    let store: Store
    let load: BlkLoad
    /// Ours by the best peer's; nil where nothing is asked.
    let target: Double?

    static let all: [BlkLine] = [
        BlkLine("shm", "/dev/shm", .sharedMemoryFile, .randread, depth: 1, target: 3.0),
        BlkLine("shm", "/dev/shm", .sharedMemoryFile, .randread, depth: 32, target: 1.8),
        BlkLine("shm", "/dev/shm", .sharedMemoryFile, .randread, depth: 128, target: 1.8),
        BlkLine("shm", "/dev/shm", .sharedMemoryFile, .randwrite, depth: 32, target: 1.5),
        BlkLine("shm", "/dev/shm", .sharedMemoryFile, .read, kibi: 128, depth: 32, target: 1.2),
        BlkLine("null", "null", .null, .randread, depth: 32, target: 1.0),
        BlkLine("null", "null", .null, .randread, depth: 128, target: 1.0),
        BlkLine("memory", "memory", .memory, .randread, depth: 1, target: nil),
        BlkLine("memory", "memory", .memory, .randread, depth: 32, target: nil),
        BlkLine("direct", "disk, direct", .directFile, .randread, depth: 1, target: nil),
        BlkLine("direct", "disk, direct", .directFile, .randread, depth: 32, target: 1.0),
        BlkLine("direct", "disk, direct", .directFile, .randwrite, depth: 32, target: 1.0),
        BlkLine("cached", "page cache", .cachedFile, .randread, depth: 32, target: 1.5),
        BlkLine("cached", "page cache", .cachedFile, .randwrite, depth: 32, target: 1.5),
    ]

    private init(
        _ group: String, _ place: String, _ store: Store, _ pattern: BlkLoad.Pattern,
        kibi: Int = 4,
        depth: Int, target: Double?
    ) {
        let size = kibi == 4 ? "" : "\(kibi)k"
        name = "\(group)-\(pattern.rawValue)\(size)-qd\(depth)"
        title = "\(place), \(pattern.rawValue) \(kibi)k, QD\(depth)"
        self.store = store
        load = BlkLoad(pattern: pattern, blockSize: kibi * 1024, depth: depth)
        self.target = target
    }
}
