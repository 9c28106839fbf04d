import CRing
import GuestMemory
import VirtioSpec
import Virtqueue

/// The device's side of a ring, in either language: what is measured.
protocol RingDevice: ~Copyable {
    init(_ guest: RingGuest) throws

    /// Takes what is there, gives each chain back, and publishes once. Returns chains taken, or a
    /// negative number where the ring was found broken.
    mutating func breathe() -> Int
}

struct SwiftSplitDevice: RingDevice, ~Copyable {
    private var queue: SplitQueue
    private var memory: GuestMemory
    private var buffers = ChainBuffers()
    private var calls = 0

    init(_ guest: RingGuest) throws {
        guard let size = QueueSize(UInt32(ring_size)) else { throw RingError.broken }
        let ring = try SplitRingMemory(guest.map, guest.addresses, size: size)
        queue = SplitQueue(ring, base: 0, features: [.eventIndex])
        memory = GuestMemory(guest.map)
    }

    @inline(never)
    mutating func breathe() -> Int {
        var count = 0
        do throws(QueueViolation) {
            while let chain = try queue.next(&memory, &buffers) {
                queue.complete(
                    chain, written: UInt32(truncatingIfNeeded: buffers.writable.byteCount))
                count &+= 1
            }
        } catch { return -1 }
        if queue.publish() { calls &+= 1 }
        return count
    }
}

struct SwiftPackedDevice: RingDevice, ~Copyable {
    private var queue: PackedQueue
    private var memory: GuestMemory
    private var buffers = ChainBuffers()
    private var calls = 0

    init(_ guest: RingGuest) throws {
        let ring = try PackedRingMemory(guest.map, guest.addresses, size: UInt16(ring_size))
        queue = PackedQueue(ring, base: .start, features: [.eventIndex])
        memory = GuestMemory(guest.map)
    }

    @inline(never)
    mutating func breathe() -> Int {
        var count = 0
        do throws(QueueViolation) {
            while let chain = try queue.next(&memory, &buffers) {
                queue.complete(
                    chain, written: UInt32(truncatingIfNeeded: buffers.writable.byteCount))
                count &+= 1
            }
        } catch { return -1 }
        if queue.publish() { calls &+= 1 }
        return count
    }
}

/// The device in C, of either form.
@safe
struct CDevice: ~Copyable {
    fileprivate let device: OpaquePointer
    /// Kept, because the device works in its memory.
    private let guest: RingGuest

    fileprivate init(_ form: RingCase.Form, _ guest: RingGuest) {
        self.guest = guest
        unsafe device = guest.withC { unsafe ring_device_create(form == .packed ? 1 : 0, $0) }
    }

    deinit { unsafe ring_device_destroy(device) }
}

struct CSplitDevice: RingDevice, ~Copyable {
    private let c: CDevice

    init(_ guest: RingGuest) { c = CDevice(.split, guest) }

    mutating func breathe() -> Int { unsafe ring_breathe_split(c.device) }
}

struct CPackedDevice: RingDevice, ~Copyable {
    private let c: CDevice

    init(_ guest: RingGuest) { c = CDevice(.packed, guest) }

    mutating func breathe() -> Int { unsafe ring_breathe_packed(c.device) }
}

enum RingError: Error {
    /// A device took or gave back other than what it was offered.
    case broken
}
