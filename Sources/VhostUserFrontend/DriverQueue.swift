import Host
import VirtioSpec

/// One buffer of a chain, by guest address.
public struct DriverBuffer: Equatable, Sendable {
    public var address: UInt64
    public var length: UInt32
    public var isWritable: Bool

    public init(address: UInt64, length: UInt32, isWritable: Bool) {
        self.address = address
        self.length = length
        self.isWritable = isWritable
    }

    public static func readable(_ address: UInt64, _ length: Int) -> DriverBuffer {
        DriverBuffer(address: address, length: UInt32(length), isWritable: false)
    }

    public static func writable(_ address: UInt64, _ length: Int) -> DriverBuffer {
        DriverBuffer(address: address, length: UInt32(length), isWritable: true)
    }
}

/// The driver's side of a virtqueue, written from the specification alone: what split and packed
/// rings share. Trusts the device no further than it must: what comes back wrong is thrown as an
/// error. One thread at a time.
public class DriverQueue {
    public struct Options: Sendable {
        public var eventIndex = true
        /// Chains of two buffers or more go through a table.
        public var indirect = false
        /// VIRTIO_F_IN_ORDER: the device gives chains back in their order, and may name only the
        /// last of several.
        public var inOrder = false

        public init(eventIndex: Bool = true, indirect: Bool = false, inOrder: Bool = false) {
            self.eventIndex = eventIndex
            self.indirect = indirect
            self.inOrder = inOrder
        }
    }

    public final let ram: GuestRAM
    public final let size: UInt16
    public final let options: Options
    /// Where the ring began: the base that SET_VRING_BASE told the device.
    public final let start: UInt32
    /// The base that a back-end was last told, or gave.
    final var lastBase: UInt32
    public final let kick: EventFD
    public final let call: EventFD
    /// Signalled by the device when the driver has broken the ring.
    public final let error: EventFD
    /// Chains offered and not yet taken back.
    public final var inFlight: Int { chainsOut }
    /// The same. What only this module sees has its exclusivity proven by the compiler.
    final var chainsOut = 0

    final let descriptorPart: RingPart
    final let availablePart: RingPart
    final let usedPart: RingPart

    /// Guest addresses of the three parts, by the names that SET_VRING_ADDR has for them.
    public final var descriptors: UInt64 { descriptorPart.address }
    public final var available: UInt64 { availablePart.address }
    public final var used: UInt64 { usedPart.address }

    /// - Parameter bytes: of the three parts.
    init(
        _ ram: GuestRAM, size: UInt16, _ options: Options, start: UInt32,
        bytes: (descriptors: Int, available: Int, used: Int)
    ) throws(FrontendError) {
        do throws(SystemError) {
            let kick = try EventFD()
            let call = try EventFD()
            let error = try EventFD()
            self.kick = kick
            self.call = call
            self.error = error
        } catch { throw .system(error) }
        self.ram = ram
        self.size = size
        self.options = options
        self.start = start
        lastBase = start
        // A page apart, as legacy drivers must and others may.
        descriptorPart = RingPart(ram, bytes: bytes.descriptors, alignment: 4096)
        availablePart = RingPart(ram, bytes: bytes.available, alignment: 4096)
        usedPart = RingPart(ram, bytes: bytes.used, alignment: 4096)
    }

    // What split and packed rings each do in their way.

    /// Puts a chain into the ring; the device sees it after `publish`. Returns the number by which
    /// the device will name it, or nil where there is no room. Allocates nothing for chains of up
    /// to 16 buffers.
    public func offer(_ buffers: Span<DriverBuffer>, token: UInt64) -> UInt16? { isAbstract() }

    /// Shows the device what was offered.
    public func publish() { isAbstract() }

    /// Kicks if the device wants it for what was published since it was last asked. Returns whether
    /// it did.
    @discardableResult
    public func kickIfWanted() -> Bool { isAbstract() }

    /// Takes the next finished chain back: its token and the bytes the device says it wrote.
    public func reap() throws(FrontendError) -> (token: UInt64, written: UInt32)? { isAbstract() }

    /// Asks for a call at the next finished chain. Returns true where one is there already.
    public func armCall() -> Bool { isAbstract() }

    /// Asks for no calls, as far as the ring can say so.
    public func suppressCalls() { isAbstract() }

    private final func isAbstract() -> Never { preconditionFailure("a queue that is no ring") }

    /// The base for the next back-end where the last one is gone without a word, as QEMU has it.
    public var baseAfterLoss: UInt32 { isAbstract() }

    // What they do alike.

    public final func offer(_ buffers: [DriverBuffer], token: UInt64) -> UInt16? {
        offer(buffers.span, token: token)
    }

    /// Publishes what was offered and kicks as far as the device wants it. Returns whether it did.
    @discardableResult
    public final func submit() -> Bool {
        publish()
        return kickIfWanted()
    }

    /// Waits until a chain can be taken back, by the device's call.
    public final func waitForUsed(milliseconds: Int32) throws(FrontendError) {
        while !armCall() {
            guard call.wait(milliseconds: milliseconds) else { throw .timedOut }
        }
    }
}

/// A stretch of guest memory whose place in this process is looked up once.
struct RingPart {
    let address: UInt64
    let memory: Mapping
    let start: Int

    init(_ ram: GuestRAM, bytes: Int, alignment: UInt64 = 16) {
        address = ram.allocate(bytes, alignment: alignment)
        (memory, start, _) = ram.place(address)
    }
}
