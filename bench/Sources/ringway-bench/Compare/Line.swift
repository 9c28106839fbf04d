/// One line of the comparison: a load on a store, and how many times the best peer's IOPS are wanted.
struct Line {
    let name: String
    let title: String
    let store: Store
    let load: DriverLoad
    /// Ours by the best peer's; nil where nothing is asked.
    let target: Double?

    static let all: [Line] = [
        Line("shm", "/dev/shm", .sharedMemoryFile, .randread, depth: 1, target: 3.0),
        Line("shm", "/dev/shm", .sharedMemoryFile, .randread, depth: 32, target: 1.8),
        Line("shm", "/dev/shm", .sharedMemoryFile, .randread, depth: 128, target: 1.8),
        Line("shm", "/dev/shm", .sharedMemoryFile, .randwrite, depth: 32, target: 1.5),
        Line("shm", "/dev/shm", .sharedMemoryFile, .read, kibi: 128, depth: 32, target: 1.2),
        Line("null", "null", .null, .randread, depth: 32, target: 1.0),
        Line("null", "null", .null, .randread, depth: 128, target: 1.0),
        Line("memory", "memory", .memory, .randread, depth: 1, target: nil),
        Line("memory", "memory", .memory, .randread, depth: 32, target: nil),
        Line("direct", "disk, direct", .directFile, .randread, depth: 1, target: nil),
        Line("direct", "disk, direct", .directFile, .randread, depth: 32, target: 1.0),
        Line("direct", "disk, direct", .directFile, .randwrite, depth: 32, target: 1.0),
        Line("cached", "page cache", .cachedFile, .randread, depth: 32, target: 1.5),
        Line("cached", "page cache", .cachedFile, .randwrite, depth: 32, target: 1.5),
    ]

    private init(
        _ group: String, _ place: String, _ store: Store, _ pattern: DriverLoad.Pattern,
        kibi: Int = 4,
        depth: Int, target: Double?
    ) {
        let size = kibi == 4 ? "" : "\(kibi)k"
        name = "\(group)-\(pattern.rawValue)\(size)-qd\(depth)"
        title = "\(place), \(pattern.rawValue) \(kibi)k, QD\(depth)"
        self.store = store
        load = DriverLoad(pattern: pattern, blockSize: kibi * 1024, depth: depth)
        self.target = target
    }

    /// Processor time per request, ours by the best peer's, in every line.
    static let cpuTarget = 1.0
}
