import Host
import VhostUserFrontend

/// What packets carry to be known again: a number, and words that follow from it to the packet's
/// end.
final class NetMarks {
    private let frameBytes: Int
    /// Of the next packet that goes out.
    private var next: UInt64 = 0
    /// Of the next that is to come back.
    private var expected: UInt64 = 0

    init(frameBytes: Int) { self.frameBytes = frameBytes }

    private var words: Range<Int> { NetPacket.markStart / 8 + 1..<frameBytes / 8 }

    /// Writes the number of the next packet. `whole` writes all that follows from it, too.
    @inline(__always)
    func stamp(_ memory: Mapping, at offset: Int, whole: Bool) {
        memory.store64(next, at: offset + NetPacket.markStart)
        if whole {
            for word in words {
                memory.store64(QuickRandom.mix(next &+ UInt64(word)), at: offset + word * 8)
            }
        }
        next += 1
    }

    /// Judges a packet that came back: in the order of sending, gaps aside, and with its own bytes.
    /// Returns what is wrong.
    func judge(
        _ packet: ReceiveStream.Packet, _ memory: Mapping
    ) -> String? {
        guard packet.packetBytes == frameBytes else {
            return "\(packet.packetBytes) bytes came back, of \(frameBytes)"
        }
        guard packet.firstBytes >= NetPacket.markStart + 8 else {
            return "the first buffer holds \(packet.firstBytes) bytes only"
        }
        let number = memory.load64(at: packet.offset + NetPacket.markStart)
        guard number < next else { return "packet \(number) was never sent" }
        guard number >= expected else { return "packet \(number) came after \(expected - 1)" }
        expected = number + 1
        for word in words where word * 8 + 8 <= packet.firstBytes {
            guard
                memory.load64(at: packet.offset + word * 8)
                    == QuickRandom.mix(number &+ UInt64(word))
            else { return "packet \(number) is not what was sent from byte \(word * 8) on" }
        }
        return nil
    }
}
