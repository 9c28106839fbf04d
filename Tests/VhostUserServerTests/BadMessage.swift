import VhostUserFrontend
import VirtioSpec

/// A message that a back-end must refuse. Ring 0 of the session is running, the others have never
/// been touched; there are four.
struct BadMessage: Sendable, CustomStringConvertible {
    let description: String
    let request: UInt32
    let payload: [UInt8]
    let files: [TestFiles.Kind]

    init(
        _ description: String, _ request: VhostUserRequest, _ payload: [UInt8] = [],
        files: [TestFiles.Kind] = []
    ) {
        self.init(description, id: request.rawValue, payload, files: files)
    }

    init(
        _ description: String, id: UInt32, _ payload: [UInt8] = [], files: [TestFiles.Kind] = []
    ) {
        self.description = description
        request = id
        self.payload = payload
        self.files = files
    }

    // Payloads.

    static func pair(_ one: UInt32, _ other: UInt32) -> [UInt8] { Bytes.of(one) + Bytes.of(other) }

    static func region(
        _ guest: UInt64, _ size: UInt64, _ user: UInt64, _ offset: UInt64 = 0
    ) -> [UInt8] {
        [guest, size, user, offset].flatMap { Bytes.of($0) }
    }

    static func config(_ offset: UInt32, _ bytes: [UInt8]) -> [UInt8] {
        Bytes.of(offset) + Bytes.of(UInt32(bytes.count)) + Bytes.of(UInt32(0)) + bytes
    }
}

extension BadMessage {
    /// Those that are answered with an acknowledgement where one is asked for.
    static let acknowledged: [BadMessage] =
        unknown + sizes + descriptors + indices + values + liveRing + memory + negotiation
        + configuration + inflight

    private static let unknown: [BadMessage] =
        ([0, 46, 200, 0x1_0002, .max] as [UInt32]).map { BadMessage("unknown \($0)", id: $0) }
        + [.setLogBase, .setLogFD, .sendRARP, .iotlb, .setVringEndian, .vringKick]
        .map { BadMessage("unserved \($0)", $0) }

    private static let eight = [UInt8](repeating: 0, count: 8)
    private static let ack: [VhostUserRequest] = [
        .setFeatures, .setVringNum, .setVringBase, .setVringKick, .setVringCall, .setVringError,
        .setProtocolFeatures, .setVringEnable, .setStatus,
    ]
    private static let sizes: [BadMessage] =
        ack.flatMap {
            [
                BadMessage("short \($0)", $0, [UInt8](repeating: 0, count: 7)),
                BadMessage("long \($0)", $0, [UInt8](repeating: 0, count: 9)),
                BadMessage("empty \($0)", $0),
            ]
        } + [
            BadMessage("long SET_OWNER", .setOwner, [0]),
            BadMessage("long RESET_DEVICE", .resetDevice, eight),
            BadMessage("short address", .setVringAddress, [UInt8](repeating: 0, count: 39)),
            BadMessage("long address", .setVringAddress, [UInt8](repeating: 0, count: 41)),
            BadMessage("a table without a count", .setMemoryTable),
            BadMessage(
                "a table of two with one", .setMemoryTable,
                pair(2, 0) + region(0, 4096, 0), files: [.memory, .memory]),
            BadMessage("a table of nine", .setMemoryTable, pair(9, 0)),
            BadMessage("a payload of 4096 bytes", .setOwner, [UInt8](repeating: 1, count: 4096)),
        ]

    private static let descriptors: [BadMessage] =
        ([1, 2, 7, 8, 9, 32] as [Int]).map {
            BadMessage(
                "SET_FEATURES with \($0) files", .setFeatures, eight,
                files: Array(repeating: .small, count: $0))
        } + [
            BadMessage("SET_OWNER with a file", .setOwner, files: [.memory]),
            BadMessage("two kicks", .setVringKick, Bytes.of(UInt64(1)), files: [.pipe, .pipe]),
            BadMessage("a file for a kick", .setVringKick, Bytes.of(UInt64(0)), files: [.memory]),
            BadMessage("a file for a call", .setVringCall, Bytes.of(UInt64(0)), files: [.readOnly]),
            BadMessage("no error at all", .setVringError, Bytes.of(UInt64(0)), files: [.null]),
            BadMessage(
                "a folder for a kick", .setVringKick, Bytes.of(UInt64(0)), files: [.directory]),
            BadMessage("a socket for a call", .setVringCall, Bytes.of(UInt64(0)), files: [.socket]),
            BadMessage("no kick", .setVringKick, Bytes.of(UInt64(1))),
            BadMessage("no call", .setVringCall, Bytes.of(UInt64(1))),
            BadMessage("no error", .setVringError, Bytes.of(UInt64(1))),
            BadMessage("a kick unsaid", .setVringKick, Bytes.of(UInt64(0x101)), files: [.pipe]),
            BadMessage("a call unsaid", .setVringCall, Bytes.of(UInt64(0x101)), files: [.pipe]),
            BadMessage("an error unsaid", .setVringError, Bytes.of(UInt64(0x101)), files: [.pipe]),
            BadMessage("no back-end request file", .setBackendRequestFD),
            BadMessage("a table with no file", .setMemoryTable, pair(1, 0) + region(0, 4096, 0)),
            BadMessage(
                "a table with a file too many", .setMemoryTable, pair(1, 0) + region(0, 4096, 0),
                files: [.memory, .memory]),
            BadMessage(
                "a table with nine files", .setMemoryTable, pair(1, 0) + region(0, 4096, 0),
                files: Array(repeating: .memory, count: 9)),
            BadMessage("a region with no file", .addMemoryRegion, eight + region(free, 4096, free)),
            BadMessage(
                "a region with two files", .addMemoryRegion, eight + region(free, 4096, free),
                files: [.memory, .memory]),
        ]

    private static let indices: [BadMessage] =
        ([4, 0xff, 0x100, 0x1_0000, .max] as [UInt32]).flatMap { index in
            [
                BadMessage("size of ring \(index)", .setVringNum, pair(index, 64)),
                BadMessage("base of ring \(index)", .setVringBase, pair(index, 0)),
                BadMessage("enabling ring \(index)", .setVringEnable, pair(index, 1)),
                BadMessage(
                    "addresses of ring \(index)", .setVringAddress,
                    pair(index, 0) + eight + eight + eight + eight),
            ]
        }
        + ([4, 0xff] as [UInt64]).flatMap { index in
            [.setVringKick, .setVringCall, .setVringError].flatMap { request in
                [
                    BadMessage("\(request) \(index)", request, Bytes.of(index), files: [.pipe]),
                    BadMessage("\(request) \(index), no file", request, Bytes.of(index | 0x100)),
                ]
            }
        }

    private static let values: [BadMessage] =
        ([0, 3, 1023, 2048, 65_536, .max] as [UInt32]).map {
            BadMessage("a ring of \($0)", .setVringNum, pair(1, $0))
        }
        + ([65_536, .max] as [UInt32]).map {
            BadMessage("a base of \($0)", .setVringBase, pair(1, $0))
        }
        + ([2, .max] as [UInt32]).map { BadMessage("enable \($0)", .setVringEnable, pair(1, $0)) }
        + [
            BadMessage(
                "a kick for a ring never described", .setVringKick, Bytes.of(UInt64(1)),
                files: [.pipe])
        ]

    private static let liveRing: [BadMessage] = [
        BadMessage("the size of a running ring", .setVringNum, pair(0, 128)),
        BadMessage("the base of a running ring", .setVringBase, pair(0, 0)),
        BadMessage(
            "other addresses for a running ring", .setVringAddress,
            pair(0, 0) + eight + eight + eight + eight),
        BadMessage("other features with a running ring", .setFeatures, Bytes.of(UInt64(1) << 32)),
    ]

    /// A guest and user address where no region lies.
    private static let free: UInt64 = 0x1_0000_0000
    private static let high: UInt64 = 0xffff_ffff_ffff_f000
    /// Guest address, size, user address and offset that no region can have, and its file.
    private static let regions: [(String, [UInt8], TestFiles.Kind)] = [
        ("of no bytes", region(free, 0, free), .memory),
        ("over guest memory", region(0x1000, 4096, free), .memory),
        ("around guest memory", region(0, 1 << 40, free), .memory),
        ("that wraps in guest memory", region(high, 8192, free), .memory),
        ("that wraps in user memory", region(free, 8192, high), .memory),
        ("that wraps in its file", region(free, 8192, free, high), .memory),
        ("that wraps by its size", region(free, .max, free), .memory),
        ("of half the address space", region(free, 1 << 63, free), .memory),
        ("one page beyond its file", region(free, 4 << 20, free, 4096), .memory),
        ("one byte beyond its file", region(free, 4097, free), .small),
        ("wholly beyond its file", region(free, 4096, free, 1 << 40), .memory),
        ("from a socket", region(free, 4096, free), .socket),
        ("from a pipe", region(free, 4096, free), .pipe),
        ("from a directory", region(free, 4096, free), .directory),
        ("from /dev/null", region(free, 4096, free), .null),
        ("that can't be written", region(free, 4096, free), .readOnly),
    ]

    private static let memory: [BadMessage] =
        regions.map {
            BadMessage("a region \($0.0)", .addMemoryRegion, eight + $0.1, files: [$0.2])
        }
        + regions.filter { !$0.0.contains("guest memory") || $0.0.contains("wraps") }.map {
            BadMessage(
                "a table with a region \($0.0)", .setMemoryTable, pair(1, 0) + $0.1, files: [$0.2])
        } + [
            BadMessage(
                "a table that overlaps by guest address", .setMemoryTable,
                pair(2, 0) + region(0, 8192, 0) + region(4096, 8192, 1 << 30),
                files: [.memory, .memory]),
            BadMessage(
                "a table that overlaps by user address", .setMemoryTable,
                pair(2, 0) + region(0, 8192, 0) + region(1 << 30, 8192, 8191),
                files: [.memory, .memory]),
            BadMessage(
                "a region to remove that is not there", .removeMemoryRegion,
                eight + region(free, 4096, free)),
            BadMessage(
                "a region to remove with another size", .removeMemoryRegion,
                eight + region(0, 4096, 0)),
        ]

    private static let negotiation: [BadMessage] =
        ([26, 33, 34, 35, 38, 40, 63] as [UInt64]).map {
            BadMessage("feature \($0)", .setFeatures, Bytes.of(UInt64(1) << $0))
        }
        + ([1, 2, 14, 22, 63] as [UInt64]).map {
            BadMessage("protocol feature \($0)", .setProtocolFeatures, Bytes.of(UInt64(1) << $0))
        }

    private static let configuration: [BadMessage] = [
        BadMessage("capacity", .setConfig, config(0, [UInt8](repeating: 0xff, count: 8))),
        BadMessage("capacity's last byte", .setConfig, config(7, [0])),
        BadMessage("everything", .setConfig, config(0, [UInt8](repeating: 0, count: 60))),
        BadMessage("block size", .setConfig, config(20, [0, 2, 0, 0])),
        BadMessage("writeback and more", .setConfig, config(32, [1, 0])),
        BadMessage("nothing at writeback", .setConfig, config(32, [])),
        BadMessage("beside writeback", .setConfig, config(33, [1])),
        BadMessage("beyond the space", .setConfig, config(256, [1])),
        BadMessage("too much", .setConfig, config(0, [UInt8](repeating: 1, count: 257))),
        BadMessage("at the end of the world", .setConfig, config(.max, [1])),
    ]

    static func inflight(
        _ bytes: UInt64, _ offset: UInt64, _ queues: UInt16, _ entries: UInt16
    ) -> [UInt8] {
        Bytes.of(bytes) + Bytes.of(offset) + Bytes.of(queues) + Bytes.of(entries)
            + Bytes.of(UInt32(0))
    }

    private static let inflight: [BadMessage] = [
        BadMessage(
            "an inflight buffer while a ring runs", .setInflightFD, inflight(4096, 0, 4, 8),
            files: [.memory]),
        BadMessage("an inflight buffer without a file", .setInflightFD, inflight(4096, 0, 4, 8)),
        BadMessage(
            "an inflight buffer with two files", .setInflightFD, inflight(4096, 0, 4, 8),
            files: [.memory, .memory]),
        BadMessage(
            "a short inflight buffer", .setInflightFD, Array(inflight(4096, 0, 4, 8).dropLast()),
            files: [.memory]),
        BadMessage(
            "an inflight buffer as the text has it", .setInflightFD,
            Array(inflight(4096, 0, 4, 8).dropLast(4)), files: [.memory]),
    ]

    /// Those whose own reply has no room for a refusal: the session ends.
    static let closing: [BadMessage] =
        ([4, 0xff, 0x1_0000, .max] as [UInt32]).map {
            BadMessage("base of ring \($0)", .getVringBase, pair($0, 0))
        } + [
            BadMessage("GET_FEATURES with a payload", .getFeatures, [0]),
            BadMessage("GET_FEATURES with a file", .getFeatures, files: [.memory]),
            BadMessage("GET_PROTOCOL_FEATURES with a payload", .getProtocolFeatures, eight),
            BadMessage("a short GET_VRING_BASE", .getVringBase, [0, 0, 0, 0]),
            BadMessage(
                "a GET_CONFIG without its bytes", .getConfig, Array(config(0, [0]).dropLast())),
            BadMessage("GET_STATUS with a file", .getStatus, files: [.memory]),
            BadMessage("an inflight buffer for no queues", .getInflightFD, inflight(0, 0, 0, 8)),
            BadMessage("an inflight buffer of no entries", .getInflightFD, inflight(0, 0, 4, 0)),
            BadMessage(
                "an inflight buffer for a queue too many", .getInflightFD, inflight(0, 0, 5, 8)),
            BadMessage(
                "an inflight buffer for rings too large", .getInflightFD, inflight(0, 0, 4, 1025)),
            BadMessage(
                "an inflight buffer with a file", .getInflightFD, inflight(0, 0, 4, 8),
                files: [.memory]),
            BadMessage("skipping ring 4", .getVringBaseSkipDrain, pair(4, 0)),
        ]
}
