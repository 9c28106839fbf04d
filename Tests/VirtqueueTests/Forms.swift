import GuestMemory
import Host
import Testing
import VhostUserFrontend
import VirtioSpec
import Virtqueue

/// The two forms of a virtqueue, which the tests go through alike.
enum Form: String, CaseIterable, CustomStringConvertible {
    case split, packed

    var description: String { rawValue }

    /// What SET_VRING_BASE would say for a ring that has gone on to `position` with nothing in
    /// flight: a free-running index, which in a packed ring makes a slot and a wrap counter.
    func base(_ position: UInt64, size: UInt16) -> UInt32 {
        guard self == .packed else { return UInt32(UInt16(truncatingIfNeeded: position)) }
        let place = PackedPosition(position, size: size)
        return PackedRingBase(at: place.slot, wrap: place.wrap).rawValue
    }

    func driver(
        _ ram: GuestRAM, size: UInt16, _ options: DriverQueue.Options, start: UInt32
    ) throws -> DriverQueue {
        switch self {
        case .split: try SplitDriverQueue(ram, size: size, options, start: start)
        case .packed: try PackedDriverQueue(ram, size: size, options, start: start)
        }
    }
}

/// The device's side of a ring in either form.
struct DeviceRing: ~Copyable {
    private var split: SplitQueue?
    private var packed: PackedQueue?

    init(
        _ form: Form, _ map: GuestMap, _ addresses: RingAddresses, size: UInt16, base: UInt32,
        _ features: Features, inflight: InflightBuffer? = nil
    ) throws {
        switch form {
        case .split:
            let ring = try RingBench.ring(map, addresses, size: size)
            split = SplitQueue(
                ring, base: UInt16(truncatingIfNeeded: base), features: features,
                inflight: try inflight.map { try SplitInflight($0.split(0, size: size)) })
            packed = nil
        case .packed:
            let ring = try PackedRingMemory(map, addresses, size: size)
            let base = try #require(PackedBase(vringBase: base, size: size))
            packed = PackedQueue(
                ring, base: base, features: features,
                inflight: try inflight.map {
                    try PackedInflight($0.packed(0, size: size), size: size)
                })
            split = nil
        }
    }

    var inFlight: Int { mutating get { split?.inFlight ?? packed?.inFlight ?? 0 } }
    var violation: QueueViolation? {
        mutating get { split == nil ? packed?.violation : split?.violation }
    }
    var vringBase: UInt32 { mutating get { split?.vringBase ?? packed?.vringBase ?? 0 } }

    mutating func next(
        _ memory: inout GuestMemory, _ buffers: inout ChainBuffers
    ) throws(QueueViolation) -> Chain? {
        if split == nil { return try packed?.next(&memory, &buffers) }
        return try split?.next(&memory, &buffers)
    }

    mutating func complete(_ chain: consuming Chain, written: UInt32) {
        if split == nil {
            packed?.complete(chain, written: written)
        } else {
            split?.complete(chain, written: written)
        }
    }

    mutating func leave(_ chain: consuming Chain) {
        if split == nil { packed?.leave(chain) } else { split?.leave(chain) }
    }
    mutating func putBack(_ chain: consuming Chain) {
        if split == nil { packed?.putBack(chain) } else { split?.putBack(chain) }
    }

    mutating func publish() -> Bool { split?.publish() ?? packed?.publish() ?? false }
    mutating func requestKicks() -> Bool {
        split?.requestKicks() ?? packed?.requestKicks() ?? false
    }
    mutating func suppressKicks() {
        split?.suppressKicks()
        packed?.suppressKicks()
    }
    mutating func hasAvailable() -> Bool {
        split?.hasAvailable() ?? packed?.hasAvailable() ?? false
    }

    /// Goes on with the same ring in another snapshot of memory.
    mutating func move(to map: GuestMap, _ addresses: RingAddresses, size: UInt16) throws {
        if split == nil {
            packed?.move(to: try PackedRingMemory(map, addresses, size: size))
        } else {
            split?.move(to: try RingBench.ring(map, addresses, size: size))
        }
    }
}

extension PackedPosition {
    /// The place of the descriptor that is `position` descriptors after the ring's very first.
    init(_ position: UInt64, size: UInt16) {
        self.init(
            slot: UInt16(position % UInt64(size)), wrap: position / UInt64(size) % 2 == 0)
    }

    /// As an event suppression structure names it (virtio 1.3 §2.8.10).
    var event: UInt16 { slot | (wrap ? 0x8000 : 0) }
}

/// For chains of one descriptor each, which are counted from the ring's very first.
extension DriverQueue {
    /// With event indices: asks for a call when the chain at `position` comes back.
    func askForCall(at position: UInt64) {
        if let packed = self as? PackedDriverQueue {
            packed.setDriverEvent(PackedPosition(position, size: size).event, flags: 2)
        } else if let split = self as? SplitDriverQueue {
            split.setUsedEvent(UInt16(truncatingIfNeeded: position))
        }
    }

    /// Without: asks for a call whenever a chain comes back.
    func askForCalls() {
        if let packed = self as? PackedDriverQueue {
            packed.setDriverEvent(0, flags: 0)
        } else if let split = self as? SplitDriverQueue {
            split.setInterruptsSuppressed(false)
        }
    }

    /// Whether the chain at `position`, which is out or was just before, has come back.
    func isBack(_ position: UInt64) -> Bool {
        if let packed = self as? PackedDriverQueue {
            return packed.isUsed(PackedPosition(position, size: size))
        }
        guard let split = self as? SplitDriverQueue else { return false }
        return split.usedIndex() &- UInt16(truncatingIfNeeded: position) &- 1 < size
    }
}
