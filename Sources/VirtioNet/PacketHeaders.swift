import Host
import VirtioSpec

/// Where the headers of a packet lie that is to be cut: offsets from the packet's start.
struct PacketHeaders: Sendable {
    /// The IP header.
    var network = 0
    /// The TCP or UDP header.
    var transport = 0
    /// What follows them all.
    var payload = 0
    /// The end of what IP says is its own; what lies after it is padding.
    var end = 0
    var isIPv4 = false
    var isTCP = false

    /// An IPv6 packet with more extension headers than this is not cut.
    private static let mostExtensions = 8
    private static let mostTags = 2

    /// Finds the headers of the packet of `count` bytes, 14 at least, in `memory`. Nil where they are
    /// not whole, or not those that `header`, which is valid, speaks of, or cannot stand before a
    /// segment as well: then the packet cannot be cut.
    init?(_ memory: borrowing Mapping, count: Int, _ header: NetHeader) {
        guard findNetwork(memory, count),
            let carried = isIPv4 ? readIPv4(memory, count) : readIPv6(memory, count)
        else { return nil }
        switch header.segmentation & ~NetSegmentation.ecn {
        case NetSegmentation.tcp4: guard isIPv4, carried == IPProtocol.tcp else { return nil }
        case NetSegmentation.tcp6: guard !isIPv4, carried == IPProtocol.tcp else { return nil }
        default: guard carried == IPProtocol.udp else { return nil }
        }
        isTCP = carried == IPProtocol.tcp
        guard transport == Int(header.checksumStart), readTransport(memory) else { return nil }
    }

    private mutating func findNetwork(_ memory: Mapping, _ count: Int) -> Bool {
        var offset = EtherType.offset
        var type = memory.bigEndian16(at: offset)
        for _ in 0..<Self.mostTags {
            guard type == EtherType.vlan || type == EtherType.serviceVLAN else { break }
            offset += EtherType.tagBytes
            guard offset + 2 <= count else { return false }
            type = memory.bigEndian16(at: offset)
        }
        network = offset + 2
        isIPv4 = type == EtherType.ipv4
        return isIPv4 || type == EtherType.ipv6
    }

    /// Returns the protocol that the packet carries.
    private mutating func readIPv4(_ memory: Mapping, _ count: Int) -> UInt8? {
        guard count - network >= IPv4Layout.leastBytes else { return nil }
        let first = memory.load8(at: network)
        let length = Int(first & 15) * 4
        transport = network + length
        // Fragments have no segments of their own.
        guard first >> 4 == 4, length >= IPv4Layout.leastBytes, transport <= count,
            memory.bigEndian16(at: network + IPv4Layout.fragment) & IPv4Layout.fragmentMask == 0
        else { return nil }
        let total = Int(memory.bigEndian16(at: network + IPv4Layout.totalLength))
        // Some stacks leave the length to whoever cuts.
        end = total == 0 ? count : network + total
        guard end <= count, transport <= end else { return nil }
        return memory.load8(at: network + IPv4Layout.protocol)
    }

    private mutating func readIPv6(_ memory: Mapping, _ count: Int) -> UInt8? {
        guard count - network >= IPv6Layout.bytes, memory.load8(at: network) >> 4 == 6 else {
            return nil
        }
        let length = Int(memory.bigEndian16(at: network + IPv6Layout.payloadLength))
        var next = memory.load8(at: network + IPv6Layout.nextHeader)
        transport = network + IPv6Layout.bytes
        end = length == 0 ? count : transport + length
        // Without a length and with hop-by-hop options it may be a jumbogram, whose option for the
        // length would be wrong in a segment.
        guard end <= count, length != 0 || next != IPProtocol.hopByHop else { return nil }
        for _ in 0...Self.mostExtensions {
            switch next {
            case IPProtocol.tcp, IPProtocol.udp: return next
            case IPProtocol.hopByHop, IPProtocol.routing, IPProtocol.destinationOptions:
                guard end - transport >= IPv6Layout.extensionUnit else { return nil }
                next = memory.load8(at: transport)
                let units = Int(memory.load8(at: transport + 1)) + 1
                // Where this leads past the end, nothing more is found there.
                transport += units * IPv6Layout.extensionUnit
            // Fragments, and what is signed or encrypted as a whole.
            default: return nil
            }
        }
        return nil
    }

    private mutating func readTransport(_ memory: Mapping) -> Bool {
        guard isTCP else {
            payload = transport + TransportLayout.udpBytes
            return payload <= end
        }
        guard end - transport >= TransportLayout.tcpBytes else { return false }
        let words = memory.load8(at: transport + TransportLayout.tcpDataOffset) >> 4
        payload = transport + Int(words) * 4
        return Int(words) * 4 >= TransportLayout.tcpBytes && payload <= end
    }
}

// Words of a packet, at whatever offset.
extension Mapping {
    @inline(__always)
    func bigEndian16(at offset: Int) -> UInt16 {
        UInt16(load8(at: offset)) << 8 | UInt16(load8(at: offset + 1))
    }

    @inline(__always)
    func bigEndian32(at offset: Int) -> UInt32 {
        UInt32(bigEndian16(at: offset)) << 16 | UInt32(bigEndian16(at: offset + 2))
    }

    @inline(__always)
    func put(_ value: UInt16, at offset: Int) {
        store8(UInt8(truncatingIfNeeded: value >> 8), at: offset)
        store8(UInt8(truncatingIfNeeded: value), at: offset + 1)
    }

    @inline(__always)
    func put(_ value: UInt32, at offset: Int) {
        put(UInt16(truncatingIfNeeded: value >> 16), at: offset)
        put(UInt16(truncatingIfNeeded: value), at: offset + 2)
    }
}
