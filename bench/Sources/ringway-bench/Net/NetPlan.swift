import ArgumentParser
import Host
import VhostUserFrontend
import VirtioSpec

/// Which way the packets go.
enum NetMode: String, CaseIterable, ExpressibleByArgument, Codable, Sendable {
    /// Out of the guest, as many as the back-end takes.
    case tx
    /// Into the guest, as many as the back-end has.
    case rx
    /// Out, and back in again: the back-end returns them.
    case loop
    /// Out of one port, and in at another: the back-end is a switch.
    case across = "switch"

    var sends: Bool { self != .rx }
    var receives: Bool { self != .tx }
    /// Whether what goes out is to come in.
    var returns: Bool { self == .loop || self == .across }
}

/// Who makes the packets.
enum NetDriving: String, CaseIterable, ExpressibleByArgument, Codable, Sendable {
    /// This program.
    case ringway
    /// DPDK's testpmd, by its net_virtio_user.
    case testpmd
}

/// What is to be run, with every number judged.
struct NetPlan: Sendable {
    var driving: NetDriving
    var mode: NetMode
    /// Bytes of a packet, from the Ethernet header on and without a checksum behind it.
    var frameBytes: Int
    var pairs: Int
    var queueSize: UInt16
    var isPacked: Bool
    /// Whether mergeable buffers are accepted.
    var wantsMergeable: Bool
    var isIndirect: Bool
    /// Bytes of a buffer, of which a packet on its way out takes as many as it must; nil for one.
    var cutBytes: Int?
    /// Packets that a turn moves at most, each way.
    var burst: Int
    /// Packets of a pair that are out and not back; nil for what fits the rings well.
    var inFlight: Int?
    /// Packets a second at most, of all pairs together.
    var rate: Double?
    /// Sleep until called instead of looking without end.
    var interrupts: Bool
    var isVerified: Bool
    var source: HardwareAddress
    var destination: HardwareAddress
    var hugePages: Bool
    var seconds: Double
    var warmup: Double
    /// One thread each; the pairs go round them.
    var cpus: [Int32]

    var threads: Int { min(cpus.count, pairs) }

    /// The longest packet that no link needs to cut.
    static let largestPlainFrame = 9018

    /// Whether packets go out larger than any link's, to be cut by who has to (TSO).
    var isSegmented: Bool { frameBytes > Self.largestPlainFrame }

    /// What packets of that size need from the back-end.
    var offloads: Features {
        guard isSegmented else { return [] }
        var needed: Features = []
        if mode.sends { needed.formUnion([.netChecksum, .netHostTSO4]) }
        if mode.receives { needed.formUnion([.netGuestChecksum, .netGuestTSO4]) }
        return needed
    }

    /// Lengths of a packet's buffers but the last, on its way out.
    func cuts(headerBytes: Int) -> [Int] {
        guard let cutBytes else { return [] }
        return Array(repeating: cutBytes, count: (headerBytes + frameBytes - 1) / cutBytes)
    }

    /// Packets on their way out of which each has a slot of its own.
    func sendSlots(headerBytes: Int) -> Int {
        let entries = isIndirect ? 1 : cuts(headerBytes: headerBytes).count + 1
        return max(1, Int(queueSize) / entries)
    }

    /// Bytes of a buffer for packets to come. One that can't be merged holds the largest.
    func bufferBytes(headerBytes: Int, isMergeable: Bool) -> Int {
        if isMergeable { return isSegmented ? 4096 : 2048 }
        return headerBytes + (isSegmented ? NetLayout.largestPacket : max(frameBytes, 1518))
    }

    /// Packets of a pair that are out and not back at most.
    func window(headerBytes: Int, isMergeable: Bool) -> Int {
        let bytes = bufferBytes(headerBytes: headerBytes, isMergeable: isMergeable)
        let perPacket = (headerBytes + frameBytes + bytes - 1) / bytes
        let most = min(Int(queueSize) / perPacket, sendSlots(headerBytes: headerBytes))
        // With half of the rings at hand neither side ever lacks a buffer.
        return max(1, min(inFlight ?? min(Self.usualWindow, most / 2), most))
    }

    /// Enough for both sides to work at once, and little enough for a processor's caches.
    static let usualWindow = 256

    /// Bytes of guest memory for all of it, whole huge pages.
    var memoryBytes: UInt64 {
        let ring = BenchMemory.ringBytes(size: Int(queueSize), tables: isIndirect)
        let header = NetLayout.headerBytes
        let sending = TransmitStream.memoryBytes(
            slots: sendSlots(headerBytes: header), packetBytes: frameBytes)
        let buffer = max(
            bufferBytes(headerBytes: header, isMergeable: false),
            bufferBytes(headerBytes: header, isMergeable: true))
        let receiving = ReceiveStream.memoryBytes(
            slots: Int(queueSize), bytesPerBuffer: buffer)
        return BenchMemory.rounded(pairs * (2 * ring + sending + receiving) + (64 << 10))
    }
}

/// An Ethernet address, as people write it.
struct HardwareAddress: ExpressibleByArgument, Equatable, Sendable {
    /// In the order of the wire.
    let bytes: [UInt8]

    init?(argument: String) {
        let parts = argument.split(separator: ":", omittingEmptySubsequences: false)
        let bytes = parts.compactMap {
            $0.count == 2 && $0.allSatisfy(\.isHexDigit) ? UInt8($0, radix: 16) : nil
        }
        guard parts.count == 6, bytes.count == 6 else { return nil }
        self.bytes = bytes
    }

    init(_ last: UInt8) { bytes = [0x52, 0x57, 0, 0, 0, last] }

    var defaultValueDescription: String { text }

    var text: String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }
}
