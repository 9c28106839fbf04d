import GuestMemory
import Host
import NetPorts
import VirtioNet
import VirtioSpec
import Virtqueue

/// A queue in whichever form the driver chose: one of the two, asked about once per breath, so that
/// the path of a request knows only one.
struct RingForm: ~Copyable {
    private var split: SplitQueue?
    private var packed: PackedQueue?
    private let isPacked: Bool
    private let addresses: RingAddresses

    init(_ start: borrowing QueueStart) throws(RingPlacementFault) {
        addresses = start.addresses
        guard !start.isWithoutRing else {
            split = nil
            packed = nil
            isPacked = false
            return
        }
        isPacked = start.features.contains(.packedRing)
        if isPacked {
            let ring = try PackedRingMemory(start.map, addresses, size: start.size)
            // Looked at before: a base that is no place in the ring never gets here.
            let base = PackedBase(vringBase: start.base, size: start.size) ?? .start
            var inflight: PackedInflight?
            if case .packed(let recorded, _) = start.inflight { inflight = recorded }
            packed = PackedQueue(
                ring, base: base, features: start.features, inflight: inflight)
            split = nil
        } else {
            let ring = try SplitRingMemory(start.map, addresses, size: Self.splitSize(start.size))
            var inflight: SplitInflight?
            if case .split(let recorded, _) = start.inflight { inflight = recorded }
            split = SplitQueue(
                ring, base: UInt16(truncatingIfNeeded: start.base), features: start.features,
                inflight: inflight)
            packed = nil
        }
    }

    /// Whether a ring so described can be placed, and would go on from `base`.
    static func check(
        _ map: GuestMap, _ addresses: RingAddresses, size: UInt16, features: Features
    ) throws(RingPlacementFault) {
        if features.contains(.packedRing) {
            _ = try PackedRingMemory(map, addresses, size: size)
        } else {
            _ = try SplitRingMemory(map, addresses, size: splitSize(size))
        }
    }

    private static func splitSize(_ size: UInt16) -> QueueSize {
        guard let size = QueueSize(UInt32(size)) else {
            preconditionFailure("a split ring's size is checked before it is started")
        }
        return size
    }

    var vringBase: UInt32 {
        mutating get { isPacked ? packed?.vringBase ?? 0 : split?.vringBase ?? 0 }
    }

    /// What was wrong with the ring from the start, and else how many chains will be taken again.
    var violation: QueueViolation? {
        mutating get { isPacked ? packed?.violation : split?.violation }
    }
    var resumable: Int {
        mutating get { isPacked ? packed?.resumable ?? 0 : split?.resumable ?? 0 }
    }

    mutating func isUntouched() -> Bool {
        isPacked ? packed?.isUntouched() ?? false : split?.isUntouched() ?? false
    }

    /// Goes on with the same ring in another snapshot of memory.
    mutating func move(to map: GuestMap) throws(RingPlacementFault) {
        if let size = packed?.size {
            packed?.move(to: try PackedRingMemory(map, addresses, size: size))
        } else if let size = split?.size {
            split?.move(to: try SplitRingMemory(map, addresses, size: size))
        }
    }

    mutating func breathe<Engine: QueueEngine & ~Copyable>(
        _ engine: inout Engine, _ memory: inout GuestMemory, _ ring: inout IORing
    ) throws(QueueViolation) -> Bool {
        isPacked
            ? try packed?.breathe(&engine, &memory, &ring) ?? false
            : try split?.breathe(&engine, &memory, &ring) ?? false
    }

    mutating func complete<Engine: QueueEngine & ~Copyable>(
        slot: Int, result: Int32, _ engine: inout Engine, _ ring: inout IORing
    ) {
        if isPacked {
            packed?.complete(slot: slot, result: result, &engine, &ring)
        } else {
            split?.complete(slot: slot, result: result, &engine, &ring)
        }
    }

    /// Leaves what the engine has in flight to whoever runs the ring next.
    mutating func suspend<Engine: QueueEngine & ~Copyable>(_ engine: inout Engine) {
        if isPacked {
            packed?.suspend(&engine)
        } else {
            split?.suspend(&engine)
        }
    }

    // Network queues. Each form has its own copy of what a packet goes through.

    mutating func pass(
        to target: inout RingForm, _ sender: inout NetEngine, _ memory: inout GuestMemory,
        _ receiver: inout NetEngine, _ receiverMemory: inout GuestMemory
    ) -> PassResult {
        let result =
            switch (isPacked, target.isPacked) {
            case (false, false):
                split?.pass(
                    to: &target.split, &sender, &memory, &receiver, &receiverMemory)
            case (false, true):
                split?.pass(
                    to: &target.packed, &sender, &memory, &receiver, &receiverMemory)
            case (true, false):
                packed?.pass(
                    to: &target.split, &sender, &memory, &receiver, &receiverMemory)
            case (true, true):
                packed?.pass(
                    to: &target.packed, &sender, &memory, &receiver, &receiverMemory)
            }
        return result ?? PassResult()
    }

    mutating func discard(
        _ engine: inout NetEngine, _ memory: inout GuestMemory
    ) -> PassResult {
        let result =
            isPacked
            ? packed?.discard(&engine, &memory)
            : split?.discard(&engine, &memory)
        return result ?? PassResult()
    }

    mutating func generate(
        _ bytes: Int, _ engine: inout NetEngine, _ memory: inout GuestMemory
    ) -> PassResult {
        let result =
            isPacked
            ? packed?.generate(bytes, &engine, &memory)
            : split?.generate(bytes, &engine, &memory)
        return result ?? PassResult()
    }

    mutating func send(
        to tap: TapPort, _ pair: Int, _ engine: inout NetEngine, _ memory: inout GuestMemory
    ) -> PassResult {
        let result =
            isPacked
            ? packed?.send(to: tap, pair, &engine, &memory)
            : split?.send(to: tap, pair, &engine, &memory)
        return result ?? PassResult()
    }

    mutating func receive(
        from tap: TapPort, _ pair: Int, _ engine: inout NetEngine, _ memory: inout GuestMemory
    ) -> PassResult {
        let result =
            isPacked
            ? packed?.receive(from: tap, pair, &engine, &memory)
            : split?.receive(from: tap, pair, &engine, &memory)
        return result ?? PassResult()
    }

    mutating func send(
        to link: inout PasstLink, _ engine: inout NetEngine, _ memory: inout GuestMemory
    ) -> PassResult {
        let result =
            isPacked
            ? packed?.send(to: &link, &engine, &memory)
            : split?.send(to: &link, &engine, &memory)
        return result ?? PassResult()
    }

    mutating func receive(
        from link: inout PasstLink, _ engine: inout NetEngine, _ memory: inout GuestMemory
    ) -> PassResult {
        let result =
            isPacked
            ? packed?.receive(from: &link, &engine, &memory)
            : split?.receive(from: &link, &engine, &memory)
        return result ?? PassResult()
    }

    mutating func obey(
        _ engine: inout NetEngine, _ memory: inout GuestMemory
    ) -> PassResult {
        let result =
            isPacked
            ? packed?.obey(&engine, &memory)
            : split?.obey(&engine, &memory)
        return result ?? PassResult()
    }

    func hasAvailable() -> Bool {
        isPacked ? packed?.hasAvailable() ?? false : split?.hasAvailable() ?? false
    }

    mutating func complete(_ chain: consuming Chain) {
        if isPacked {
            packed?.complete(chain, written: 0)
        } else {
            split?.complete(chain, written: 0)
        }
    }

    mutating func takeFrame(
        _ engine: inout NetEngine, _ memory: inout GuestMemory, _ breath: inout SwitchBreath
    ) {
        if isPacked {
            packed?.takeFrame(&engine, &memory, &breath)
        } else {
            split?.takeFrame(&engine, &memory, &breath)
        }
    }

    mutating func forward(
        to target: inout RingForm, _ port: Int, _ sender: inout NetEngine,
        _ memory: inout GuestMemory, _ receiver: inout NetEngine,
        _ receiverMemory: inout GuestMemory, _ breath: inout SwitchBreath
    ) {
        switch (isPacked, target.isPacked) {
        case (false, false):
            split?.forward(
                to: &target.split, port, &sender, &memory, &receiver, &receiverMemory, &breath)
        case (false, true):
            split?.forward(
                to: &target.packed, port, &sender, &memory, &receiver, &receiverMemory, &breath)
        case (true, false):
            packed?.forward(
                to: &target.split, port, &sender, &memory, &receiver, &receiverMemory, &breath)
        case (true, true):
            packed?.forward(
                to: &target.packed, port, &sender, &memory, &receiver, &receiverMemory, &breath)
        }
    }

    /// Puts the packet in `scratch.source`, which is without its header, into the ring.
    mutating func putOtherwise(
        _ header: NetHeader, _ bytes: Int, from gives: NetOffloads, _ engine: inout NetEngine,
        _ memory: inout GuestMemory, _ scratch: inout NetScratch
    ) -> QueueViolation? {
        let takes = engine.net.guestTakes
        do throws(QueueViolation) {
            if isPacked {
                try packed?.putOtherwise(
                    header, 0, bytes, from: gives, takes, engine.shape, &engine.counters, &memory,
                    &scratch)
            } else {
                try split?.putOtherwise(
                    header, 0, bytes, from: gives, takes, engine.shape, &engine.counters, &memory,
                    &scratch)
            }
            return nil
        } catch { return error }
    }

    mutating func publish() -> Bool {
        isPacked ? packed?.publish() ?? false : split?.publish() ?? false
    }

    mutating func suppressKicks() {
        packed?.suppressKicks()
        split?.suppressKicks()
    }

    mutating func requestKicks() -> Bool {
        isPacked ? packed?.requestKicks() ?? false : split?.requestKicks() ?? false
    }
}

extension DeviceQueue where Self: ~Copyable {
    @inline(__always)
    fileprivate mutating func breathe<Engine: QueueEngine & ~Copyable>(
        _ engine: inout Engine, _ memory: inout GuestMemory, _ ring: inout IORing
    ) throws(QueueViolation) -> Bool {
        try engine.breathe(&self, &memory, &ring)
    }

    @inline(__always)
    fileprivate mutating func complete<Engine: QueueEngine & ~Copyable>(
        slot: Int, result: Int32, _ engine: inout Engine, _ ring: inout IORing
    ) {
        engine.complete(slot: slot, result: result, &self, &ring)
    }

    fileprivate mutating func suspend<Engine: QueueEngine & ~Copyable>(_ engine: inout Engine) {
        engine.suspend(&self)
    }
}
