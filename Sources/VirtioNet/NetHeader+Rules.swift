import VirtioSpec

extension NetHeader {
    /// Whether the header is one that a packet of `packetBytes` may have, from an end of the link
    /// that may hand out `offloads` (virtio 1.3 §5.1.6.2). Nothing is known then of what the packet
    /// holds, only that nothing the header says leads out of it.
    @inlinable
    @inline(__always)
    public func isValid(packetBytes: Int, offloads: NetOffloads) -> Bool {
        guard packetBytes >= NetLayout.ethernetBytes, packetBytes <= NetLayout.largestPacket,
            // A hint, but what the kernel refuses from a TAP is refused everywhere.
            Int(headerLength) <= packetBytes
        else { return false }
        // Flags that are not known are to be ignored.
        if (flags & NetHeaderFlag.needsChecksum) | segmentation == 0 { return true }
        return canBeFinished(packetBytes, offloads)
    }

    /// The rest of `isValid`, where anything is left to be done to the packet.
    @usableFromInline
    func canBeFinished(_ packetBytes: Int, _ offloads: NetOffloads) -> Bool {
        // A packet in segments needs a checksum in each, so it must say where.
        guard flags & NetHeaderFlag.needsChecksum != 0, offloads.contains(.checksum),
            Int(checksumStart) >= NetLayout.ethernetBytes,
            Int(checksumStart) + Int(checksumOffset) + 2 <= packetBytes
        else { return false }
        guard segmentation != NetSegmentation.none else { return true }
        guard segmentBytes > 0 else { return false }
        let hasECN = segmentation & NetSegmentation.ecn != 0
        switch segmentation & ~NetSegmentation.ecn {
        case NetSegmentation.tcp4 where offloads.contains(.tcp4),
            NetSegmentation.tcp6 where offloads.contains(.tcp6):
            return Int(checksumOffset) == TransportLayout.tcpChecksum
                && (!hasECN || offloads.contains(.ecn))
        case NetSegmentation.udpDatagrams where offloads.contains(.udpDatagrams):
            return Int(checksumOffset) == TransportLayout.udpChecksum && !hasECN
        default: return false
        }
    }

    /// The header with which the packet may be handed on as it is: without what only its sender
    /// could vouch for, and what means nothing.
    @inlinable
    public var passedOn: NetHeader {
        guard flags & NetHeaderFlag.needsChecksum != 0 else { return .plain }
        var header = self
        header.flags = NetHeaderFlag.needsChecksum
        header.bufferCount = 1
        guard segmentation == NetSegmentation.none else { return header }
        header.headerLength = 0
        header.segmentBytes = 0
        return header
    }
}

extension NetOffloads {
    /// Whether a packet with the valid header `header` may be handed over as it is.
    @inlinable
    public func covers(_ header: NetHeader) -> Bool {
        guard header.flags & NetHeaderFlag.needsChecksum != 0 else { return true }
        guard contains(.checksum) else { return false }
        switch header.segmentation {
        case NetSegmentation.none: return true
        case NetSegmentation.tcp4: return contains(.tcp4)
        case NetSegmentation.tcp6: return contains(.tcp6)
        case NetSegmentation.tcp4 | NetSegmentation.ecn: return isSuperset(of: [.tcp4, .ecn])
        case NetSegmentation.tcp6 | NetSegmentation.ecn: return isSuperset(of: [.tcp6, .ecn])
        case NetSegmentation.udpDatagrams: return contains(.udpDatagrams)
        default: return false
        }
    }
}
