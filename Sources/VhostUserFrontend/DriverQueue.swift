import Host
import VirtioSpec

/// One buffer of a chain, by guest address.
public struct DriverBuffer: Equatable, Sendable {
    public var address: UInt64
    public var length: UInt32
    public var isWritable: Bool

    public static func readable(_ address: UInt64, _ length: Int) -> DriverBuffer {
        DriverBuffer(address: address, length: UInt32(length), isWritable: false)
    }

    public static func writable(_ address: UInt64, _ length: Int) -> DriverBuffer {
        DriverBuffer(address: address, length: UInt32(length), isWritable: true)
    }
}

/// The driver's side of a split virtqueue (virtio 1.3 §2.7), written from the specification alone.
/// Trusts the device no further than it must: what comes back wrong is thrown as an error.
public final class DriverQueue {
    public struct Options: Sendable {
        public var eventIndex = true
        /// Chains of two buffers or more go through a table.
        public var indirect = false

        public init(eventIndex: Bool = true, indirect: Bool = false) {
            self.eventIndex = eventIndex
            self.indirect = indirect
        }
    }

    /// What the driver knows of a chain it has offered.
    private struct Offer {
        var token: UInt64 = 0
        var writableBytes: UInt64 = 0
        var descriptors: [UInt16] = []
        var isOut = false
    }

    public let ram: GuestRAM
    public let size: UInt16
    public let options: Options
    /// Guest addresses of the three parts.
    public let descriptors: UInt64
    public let available: UInt64
    public let used: UInt64
    public let kick: EventFD
    public let call: EventFD
    /// Signalled by the device when the driver has broken the ring.
    public let error: EventFD

    private var free: [UInt16]
    private var offers: [Offer]
    private var tables: [UInt64?]
    /// Free-running: offered, shown to the device, and taken back.
    private var offered: UInt16
    private var published: UInt16
    private var reaped: UInt16
    /// Chains offered and not yet taken back.
    public private(set) var inFlight = 0

    /// - Parameter start: where the free-running indices begin, on both sides.
    public init(
        _ ram: GuestRAM, size: UInt16, _ options: Options = Options(), start: UInt16 = 0
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
        // A page apart, as legacy drivers must and others may.
        descriptors = ram.allocate(
            SplitRingLayout.descriptorTableBytes(size: size), alignment: 4096)
        available = ram.allocate(SplitRingLayout.availableBytes(size: size), alignment: 4096)
        used = ram.allocate(SplitRingLayout.usedBytes(size: size), alignment: 4096)
        free = (0..<size).reversed()
        offers = Array(repeating: Offer(), count: Int(size))
        tables = Array(repeating: nil, count: Int(size))
        offered = start
        published = start
        reaped = start
        setAvailableIndex(start)
        store(used, SplitRingLayout.usedIndex, start)
        if options.eventIndex { setUsedEvent(start) }
    }

    // The ordinary life of a chain.

    /// Puts a chain into the available ring; the device sees it after `publish`. Returns its head,
    /// or nil where descriptors are short.
    public func offer(_ buffers: [DriverBuffer], token: UInt64) -> UInt16? {
        let wanted = options.indirect && buffers.count > 1 ? 1 : buffers.count
        guard wanted > 0, free.count >= wanted else { return nil }
        let taken = (0..<wanted).map { _ in free.removeLast() }
        let head = taken[0]
        if wanted == buffers.count {
            for (place, buffer) in buffers.enumerated() {
                let next = place + 1 < taken.count ? taken[place + 1] : nil
                setDescriptor(taken[place], Self.descriptor(buffer, next: next))
            }
        } else {
            let table = writeTable(buffers, for: head)
            let bytes = UInt32(buffers.count * SplitRingLayout.descriptorBytes)
            setDescriptor(
                head,
                Descriptor(address: table, length: bytes, flags: DescriptorFlags.indirect))
        }
        let writable = buffers.reduce(UInt64(0)) { $0 + ($1.isWritable ? UInt64($1.length) : 0) }
        offers[Int(head)] = Offer(
            token: token, writableBytes: writable, descriptors: taken, isOut: true)
        setAvailable(offered, head: head)
        offered &+= 1
        inFlight += 1
        return head
    }

    private static func descriptor(_ buffer: DriverBuffer, next: UInt16?) -> Descriptor {
        var flags = buffer.isWritable ? DescriptorFlags.write : 0
        if next != nil { flags |= DescriptorFlags.next }
        return Descriptor(
            address: buffer.address, length: buffer.length, flags: flags, next: next ?? 0)
    }

    private func writeTable(_ buffers: [DriverBuffer], for head: UInt16) -> UInt64 {
        // Room for the longest that tests ask for; allocated once per head.
        let bytes = max(16, buffers.count) * SplitRingLayout.descriptorBytes
        let kept = buffers.count <= 16 ? tables[Int(head)] : nil
        let table = kept ?? ram.allocate(bytes)
        if buffers.count <= 16 { tables[Int(head)] = table }
        for (place, buffer) in buffers.enumerated() {
            let next = place + 1 < buffers.count ? UInt16(place + 1) : nil
            writeDescriptor(
                Self.descriptor(buffer, next: next),
                at: table + UInt64(place * SplitRingLayout.descriptorBytes))
        }
        return table
    }

    /// Shows the device what was offered.
    public func publish() {
        published = offered
        // Release: the descriptors and the ring's entries are there before the index says so.
        store(available, SplitRingLayout.availableIndex, published, releasing: true)
    }

    /// Kicks if the device wants it for what was published since `old`. Returns whether it did.
    @discardableResult
    public func kickIfWanted(since old: UInt16) -> Bool {
        Mapping.fullFence()
        let isWanted: Bool
        if options.eventIndex {
            isWanted = published &- availableEvent() &- 1 < published &- old
        } else {
            isWanted = load(used, SplitRingLayout.usedFlags) & SplitRingLayout.noNotify == 0
        }
        if isWanted { kick.signal() }
        return isWanted
    }

    /// Publishes what was offered and kicks as far as the device wants it.
    public func submit() {
        let old = published
        publish()
        kickIfWanted(since: old)
    }

    /// Takes the next finished chain back: its token and the bytes the device says it wrote.
    public func reap() throws(FrontendError) -> (token: UInt64, written: UInt32)? {
        let index = usedIndex()
        let ahead = index &- reaped
        guard ahead != 0 else { return nil }
        guard Int(ahead) <= inFlight else {
            throw .device("used index \(index): \(ahead) chains, and \(inFlight) are out")
        }
        let (id, written) = usedEntry(reaped)
        guard id < UInt32(size), offers[Int(id)].isOut else {
            throw .device("used id \(id) is not out")
        }
        let offer = offers[Int(id)]
        guard UInt64(written) <= offer.writableBytes else {
            throw .device("\(written) bytes written into \(offer.writableBytes)")
        }
        offers[Int(id)].isOut = false
        free += offer.descriptors.reversed()
        reaped &+= 1
        inFlight -= 1
        return (offer.token, written)
    }

    /// Asks for a call at the next finished chain. Returns true where one is there already.
    public func armCall() -> Bool {
        if options.eventIndex {
            setUsedEvent(reaped)
        } else {
            store(available, SplitRingLayout.availableFlags, 0)
        }
        Mapping.fullFence()
        return usedIndex() != reaped
    }

    /// Waits until a chain can be taken back, by the device's call.
    public func waitForUsed(milliseconds: Int32) throws(FrontendError) {
        while !armCall() {
            guard call.wait(milliseconds: milliseconds) else { throw .timedOut }
        }
    }
}
