import EthernetSwitch
import Host
import VirtioNet
import Virtqueue

/// A breath of the queue out of one port's guest: what it has of the switch, and what came of it.
struct SwitchBreath: ~Copyable {
    var table: SwitchTable
    /// Where the frames come from.
    let port: Int
    let now: UInt32
    /// Chains taken.
    var count = 0
    /// Frames that went straight into a ring.
    var sent = 0
    /// Ports whose guests were given something.
    var served = PortSet()
    /// A frame that goes another way than straight into the ring at hand.
    var chain: Chain?
    var frame = SwitchedFrame()
    var senderFault: QueueViolation?
    var receiverFault: QueueViolation?

    init(_ table: consuming SwitchTable, port: Int, now: UInt32) {
        self.table = table
        self.port = port
        self.now = now
    }

    /// The table, to be put back.
    consuming func end() -> SwitchTable { table }

    /// Where a packet goes that begins with `head`. It is judged, and from then on known, by what was
    /// read of it once: a guest may write on.
    @inline(__always)
    mutating func judge(
        _ header: NetHeader, _ head: FrameHead, _ bytes: Int, _ gives: NetOffloads
    ) -> Verdict {
        guard let key = FrameKey(head.low, head.high, head.last, count: bytes) else {
            return refuse(.runt)
        }
        guard header.isPlain || header.isValid(packetBytes: bytes, offloads: gives) else {
            return refuse(.malformed)
        }
        return table.forward(key, from: port, now: now)
    }

    mutating func refuse(_ reason: DropReason) -> Verdict {
        table.refuse(reason, from: port)
        return .drop(reason)
    }
}

/// A packet out of a guest, and where it goes.
struct SwitchedFrame {
    var header = NetHeader.plain
    var head = FrameHead()
    /// Without the header.
    var bytes = 0
    var verdict = Verdict.drop(.runt)
}

extension NetHeader {
    /// Nothing is left to be done to the packet, and nothing is said of it.
    @inline(__always)
    var isPlain: Bool { flags | segmentation == 0 }
}

extension FrameHead {
    /// Puts the head into `memory`, at 0, with its tag changed.
    ///
    /// - Parameter count: bytes of the frame.
    /// - Returns: bytes there, and how many of the frame's they stand for.
    func put(_ change: TagChange, count: Int, into memory: Mapping) -> (made: Int, taken: Int) {
        let addresses = high & 0xffff_ffff
        memory.store64(low, at: 0)
        switch change {
        case .none:
            memory.store64(high, at: 8)
            memory.store16(last, at: 16)
            let whole = min(count, Self.bytes)
            return (whole, whole)
        case .remove:
            memory.store64(addresses | UInt64(last) << 32, at: 8)
            return (Self.bytes - EtherType.tagBytes, Self.bytes)
        case .insert(let control):
            let tag = UInt64(EtherType.vlan.byteSwapped) << 32
            memory.store64(addresses | tag | UInt64(control.byteSwapped) << 48, at: 8)
            memory.store16(UInt16(truncatingIfNeeded: high >> 32), at: 16)
            return (Self.bytes, Self.bytes - EtherType.tagBytes)
        case .replace(let control):
            memory.store64(
                high & 0xffff_ffff_ffff | UInt64(control.byteSwapped) << 48, at: 8)
            memory.store16(last, at: 16)
            return (Self.bytes, Self.bytes)
        }
    }
}
