import Randomness
import VirtioNet

/// A packet as a driver's stack would build it: the tests' own idea of every header, which shares
/// nothing with the room that is tested. All words are big-endian.
struct PacketRecipe {
    /// Type and content of each VLAN tag.
    var tags: [(type: UInt16, content: UInt16)] = []
    var isIPv4 = true
    var isTCP = true
    /// IPv4's options, a multiple of 4 bytes.
    var ipOptions: [UInt8] = []
    /// IPv6's extension headers: number, and the header's bytes without its first.
    var extensions: [(number: UInt8, rest: [UInt8])] = []
    var tcpOptions: [UInt8] = []
    var identification: UInt16 = 0x1234
    var sequence: UInt32 = 0x0102_0304
    var flags: UInt8 = 0x10
    var urgent: UInt16 = 0
    var payload: [UInt8] = []
    /// Stray bytes after what IP says is its own.
    var padding: [UInt8] = []
    /// IP's length is given, not left as 0.
    var saysLength = true
    /// 0 for a packet that is not to be cut.
    var segmentBytes = 0
    var hasECN = false

    let source: [UInt8] = [10, 1, 2, 3, 0xfd, 0, 0, 9, 8, 7, 6, 5, 4, 3, 2, 0xff]
    let target: [UInt8] = [10, 1, 2, 4, 0xfd, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]

    var transportHeader: Int { isTCP ? 20 + tcpOptions.count : 8 }
    var network: Int { 14 + 4 * tags.count }
    var transport: Int {
        if isIPv4 { return network + 20 + ipOptions.count }
        return network + 40 + extensions.reduce(0) { $0 + 1 + $1.rest.count }
    }

    enum Checksum {
        /// The pseudo-header's sum stands in its place.
        case begun
        case finished
    }

    func bytes(_ checksum: Checksum = .begun) -> [UInt8] {
        var packet: [UInt8] = [0x52, 0x54, 0, 1, 2, 3, 0x52, 0x54, 0, 4, 5, 6]
        for tag in tags { packet += tag.type.wire + tag.content.wire }
        packet += (isIPv4 ? UInt16(0x0800) : 0x86dd).wire
        packet += isIPv4 ? ipv4 : ipv6
        return packet + segment(checksum) + padding
    }

    private var ipv4: [UInt8] {
        let header = 20 + ipOptions.count
        let length = saysLength ? header + transportHeader + payload.count : 0
        let first: [UInt8] = [UInt8(0x40 + header / 4), 0x02] + UInt16(length).wire
        let second = identification.wire + [0x40, 0, 64, isTCP ? 6 : 17]
        let last = Array(source.prefix(4)) + target.prefix(4) + ipOptions
        let sum = Self.sum(first + second + last)
        return first + second + (~sum).wire + last
    }

    private var ipv6: [UInt8] {
        let numbers = extensions.map(\.number) + [isTCP ? 6 : 17]
        let rest = zip(extensions, numbers.dropFirst()).flatMap { [$1] + $0.rest }
        let length = saysLength ? rest.count + transportHeader + payload.count : 0
        return [0x60, 0x20, 0x12, 0x34] + UInt16(length).wire + [numbers[0], 64] + source + target
            + rest
    }

    private func segment(_ checksum: Checksum) -> [UInt8] {
        let length = transportHeader + payload.count
        var header: [UInt8] = [0x12, 0x34, 0, 80]
        if isTCP {
            header += UInt16(sequence >> 16).wire + UInt16(sequence & 0xffff).wire
            header += [9, 8, 7, 6, UInt8((20 + tcpOptions.count) / 4) << 4, flags, 1, 0, 0, 0]
            header += urgent.wire + tcpOptions
        } else {
            header += UInt16(length).wire + [0, 0]
        }
        let addresses = isIPv4 ? Array(source.prefix(4)) + target.prefix(4) : source + target
        let pseudo = Self.sum(addresses + UInt16(length).wire + [0, isTCP ? 6 : 17])
        var field = pseudo
        if checksum == .finished {
            let sum = Self.sum(pseudo.wire + header + payload)
            field = sum == 0xffff ? 0xffff : ~sum
        }
        header.replaceSubrange(checksumOffset..<(checksumOffset + 2), with: field.wire)
        return header + payload
    }

    var checksumOffset: Int { isTCP ? 16 : 6 }

    /// The virtio header that goes with it.
    var header: NetHeader {
        var header = NetHeader.plain
        header.flags = 1
        header.checksumStart = UInt16(transport)
        header.checksumOffset = UInt16(checksumOffset)
        guard segmentBytes > 0 else { return header }
        header.segmentation = isTCP ? (isIPv4 ? 1 : 4) : 5
        if hasECN { header.segmentation |= 0x80 }
        header.segmentBytes = UInt16(segmentBytes)
        header.headerLength = UInt16(transport + transportHeader)
        return header
    }

    /// The packets that it is to become.
    var segments: [PacketRecipe] {
        let starts = Array(stride(from: 0, to: max(1, payload.count), by: segmentBytes))
        return starts.enumerated().map { index, start in
            var segment = self
            segment.segmentBytes = 0
            segment.padding = []
            segment.saysLength = true
            segment.payload = Array(payload[start...].prefix(segmentBytes))
            segment.identification = identification &+ UInt16(index)
            segment.sequence = sequence &+ UInt32(start)
            if index > 0 { segment.flags &= ~0x80 }
            if index < starts.count - 1 { segment.flags &= ~0x09 }
            if index > 0, flags & 0x20 != 0 {
                segment.urgent = UInt16(max(0, Int(urgent) - start))
                if segment.urgent == 0 { segment.flags &= ~0x20 }
            }
            return segment
        }
    }

    /// The one's complement sum, in the plainest words.
    static func sum(_ bytes: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for (index, byte) in bytes.enumerated() {
            sum += index % 2 == 0 ? UInt32(byte) << 8 : UInt32(byte)
            if sum > 0xffff { sum -= 0xffff }
        }
        return UInt16(sum)
    }
}

extension UInt16 {
    var wire: [UInt8] { [UInt8(self >> 8), UInt8(self & 0xff)] }
}

extension PacketRecipe {
    /// Any packet that is to be cut.
    static func random(_ random: inout Seeded) -> PacketRecipe {
        var recipe = PacketRecipe()
        recipe.isIPv4 = Bool.random(using: &random)
        recipe.isTCP = Bool.random(using: &random)
        for _ in 0..<Int.random(in: 0...2, using: &random) {
            let type: UInt16 = Bool.random(using: &random) ? 0x8100 : 0x88a8
            recipe.tags.append((type, UInt16.random(in: 0...0xffff, using: &random)))
        }
        if recipe.isIPv4 {
            recipe.ipOptions = random.bytes(4 * Int.random(in: 0...10, using: &random))
        } else {
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                let units = Int.random(in: 0...3, using: &random)
                let number: UInt8 = [0, 43, 60][Int.random(in: 0...2, using: &random)]
                recipe.extensions.append((number, [UInt8(units)] + random.bytes(6 + 8 * units)))
            }
        }
        recipe.tcpOptions = random.bytes(4 * Int.random(in: 0...10, using: &random))
        recipe.identification = UInt16.random(in: 0...0xffff, using: &random)
        recipe.sequence = UInt32.random(in: 0...0xffff_ffff, using: &random)
        recipe.segmentBytes = Int.random(in: 8...3000, using: &random)
        let most = min(20_000, recipe.segmentBytes * (recipe.isTCP ? 300 : 128))
        recipe.payload = random.bytes(Int.random(in: 0...most, using: &random))
        // Neither SYN nor RST.
        recipe.flags = UInt8.random(in: 0...255, using: &random) & ~0x06
        recipe.urgent = UInt16.random(in: 0...0xffff, using: &random)
        recipe.hasECN = recipe.isTCP && Bool.random(using: &random)
        if Int.random(in: 0...3, using: &random) == 0 {
            recipe.padding = random.bytes(Int.random(in: 1...40, using: &random))
        }
        return recipe
    }
}
