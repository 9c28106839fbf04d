import GuestMemory
import Host
import Logging
import NetPorts
import VirtioNet
import VirtioSpec
import Virtqueue

/// Serves one queue of a network device. What a worker's queues pass to each other goes from the ring
/// it was taken from into the ring it is for, in one copy.
public struct NetEngine: QueueEngine, ~Copyable {
    public typealias Device = NetService

    enum Role: Equatable {
        /// Into the guest.
        case receive(pair: Int)
        /// Out of the guest.
        case transmit(pair: Int)
        case control
    }

    /// What the queue waits for, beside its driver.
    enum Wait: Equatable {
        case nothing
        /// Until the link can be read, or written.
        case link
        /// Until somebody else in the worker has something for it.
        case others
    }

    let role: Role
    let net: NetDevice
    let link: NetService.Link
    let capture: Capture?
    let shape: PacketShape
    /// The device's number among those that the worker serves: its port, where they are on a switch.
    let port: Int
    /// The port that was sent to last.
    var lastTarget: Int
    /// Where packets from a switch's uplink come to lie, of the queue that takes them.
    var uplinkMemory: Mapping?
    let tags: UInt64
    var wait = Wait.nothing
    var isAttached = false
    /// That the link is gone was said.
    var hasSaidLost = false
    /// Something about the port may have changed since the driver's link was set.
    var isLinkStale = true
    /// The ring has been told to wake us when interfaces change.
    var isWatching = false
    /// The ring has been told to wake us when the link is ready.
    private var isArmed = false
    /// The link to passt, the receiving queue's, and its descriptor, for the other one to wait on.
    var passt: PasstLink?
    var passtDescriptor: Int32 = -1
    public var counters = QueueCounters()
    var scratch: NetScratch

    public init(
        _ service: NetService, _ place: QueuePlace, slots: Int, tags: UInt64
    ) throws(SystemError) {
        let net = service.devices[place.device]
        let role = net.role(of: place.queue)
        let scratch = try NetScratch()
        let passt = try Self.passt(service.link, role)
        let uplinkMemory = try Self.uplinkMemory(service.link, place)
        self.net = net
        self.role = role
        self.scratch = scratch
        self.passt = passt
        self.uplinkMemory = uplinkMemory
        link = service.link
        capture = service.capture
        shape = PacketShape(headerBytes: net.headerBytes, isMergeable: net.isMergeable)
        port = place.device
        lastTarget = place.device
        self.tags = tags
        if case .switch(let link) = link, role == .receive(pair: 0) {
            precondition(
                place.local == SwitchLink.receiver(place.device), "a switch has one worker")
            link.attach(place.device)
        }
        if case .switch(let link) = link, uplinkMemory != nil { link.attach(place.device) }
        if role == .control { net.isControlQueueRunning = true }
        setPort()
    }

    /// Has the port do as the driver has said, what only the port can do.
    func setPort() {
        guard case .tap(let tap) = link else { return }
        tap.use(headerBytes: shape.headerBytes, guestTakes: net.guestTakes)
        tap.limit(to: net.activePairs)
    }

    private static func uplinkMemory(
        _ link: NetService.Link, _ place: QueuePlace
    ) throws(SystemError) -> Mapping? {
        guard case .switch(let link) = link, let tap = link.tap(place.device) else { return nil }
        tap.use(headerBytes: NetLayout.headerBytes, guestTakes: tap.gives)
        return try .anonymous(count: NetLayout.headerBytes + NetLayout.largestPacket)
    }

    private static func passt(
        _ link: NetService.Link, _ role: Role
    ) throws(SystemError) -> PasstLink? {
        guard case .passt(let path) = link, role == .receive(pair: 0) else { return nil }
        // It only allocates: passt need not be there yet.
        do throws(PortFault) { return try PasstLink(path: path) } catch {
            throw SystemError("mmap", SystemErrorCode.noMemory)
        }
    }

    deinit {
        attach(false)
        if role == .control {
            net.isControlQueueRunning = false
            setPort()
        }
        if case .switch(let link) = link, role == .receive(pair: 0) || uplinkMemory != nil {
            link.detach(port)
        }
    }

    /// Has the TAP give this queue packets, or give them to others. The first queue always has some.
    func attach(_ isWanted: Bool) {
        guard case .receive(let pair) = role, case .tap(let tap) = link, pair > 0,
            pair < tap.queueCount
        else { return }
        if isWanted { tap.attach(pair) } else { tap.detach(pair) }
    }

    /// Whether its pair is one that the driver uses.
    var isActive: Bool {
        if case .receive(let pair) = role { pair < net.activePairs } else { true }
    }

    /// Nothing is kept from one breath to the next.
    public var inFlight: Int { 0 }

    public mutating func touches(_ mapping: Mapping) -> Bool { false }

    public var isWaitedFor: Bool { wait != .nothing }

    /// What a guest sends on a disabled queue is taken and dropped.
    public var servesDisabled: Bool { if case .transmit = role { true } else { false } }

    public var wantsKick: Bool { wait == .nothing }

    public mutating func fallAsleep(_ ring: inout IORing) {
        if wait == .link { arm(&ring) }
        watch(&ring)
    }

    private mutating func arm(_ ring: inout IORing) {
        guard !isArmed else { return }
        switch (role, link) {
        case (.transmit, .switch(let link)):
            guard let tap = link.tap(port) else { return }
            isArmed =
                tap.isLost
                ? ring.waitASecond(tag: tags) : ring.waitForInput(tap.descriptor(0), tag: tags)
        // Polling what is gone would only spin.
        case (.receive, .tap(let tap)) where tap.isLost: isArmed = ring.waitASecond(tag: tags)
        case (.receive, .passt) where passtDescriptor < 0: isArmed = ring.waitASecond(tag: tags)
        case (.receive(let pair), .tap(let tap)):
            isArmed = ring.waitForInput(tap.descriptor(pair), tag: tags)
        case (.transmit(let pair), .tap(let tap)):
            isArmed = ring.waitForOutput(tap.descriptor(pair), tag: tags)
        case (.receive, .passt): isArmed = ring.waitForInput(passtDescriptor, tag: tags)
        case (.transmit, .passt): isArmed = ring.waitForOutput(passtDescriptor, tag: tags)
        default: break
        }
    }

    public mutating func stop(_ ring: inout IORing) {
        if isArmed { _ = ring.cancelWait(tag: tags, ownTag: Tag.cancel) }
        stopWatching(&ring)
    }

    public mutating func breathe<Queue: DeviceQueue & ~Copyable>(
        _ queue: inout Queue, _ memory: inout GuestMemory, _ ring: inout IORing
    ) throws(QueueViolation) -> Bool {
        preconditionFailure("a network queue breathes with others")
    }

    /// The queue is awake, so what it waited for is over.
    mutating func endWait() {
        isArmed = false
        wait = .nothing
    }

    /// The link is ready, or it is time to look for it again.
    public mutating func complete<Queue: DeviceQueue & ~Copyable>(
        slot: Int, result: Int32, _ queue: inout Queue, _ ring: inout IORing
    ) {
        guard slot != Self.watchSlot else { return noticeLinkChange() }
        isArmed = false
        guard wait == .link else { return }
        wait = .nothing
        if case .tap(let tap) = link, tap.isLost { try? tap.reopen() }
    }

    public static func breathe(
        _ number: Int, _ queues: inout Table<RunningQueue<NetEngine>?>,
        _ ring: inout IORing, _ service: NetService, _ logger: Logger
    ) -> Bool {
        switch queues[number]?.engine.role {
        case .receive(let pair): receive(number, pair, &queues, service, logger)
        case .transmit(let pair): send(number, pair, &queues, service, logger)
        case .control: queues[number]?.obey(logger) ?? false
        case nil: false
        }
    }

    // Out of line, so that tools/hotpath can tell the reference that a breath counts to its TAP or switch
    // from what a packet costs.

    @inline(never)
    private static func receive(
        _ number: Int, _ pair: Int, _ queues: inout Table<RunningQueue<NetEngine>?>,
        _ service: NetService, _ logger: Logger
    ) -> Bool {
        switch service.link {
        case .null, .copy, .loopback, .switch:
            queues[number]?.waitForOthers()
            return false
        case .generator(let bytes): return queues[number]?.generate(bytes, logger) ?? false
        case .tap(let tap): return queues[number]?.receive(from: tap, pair, logger) ?? false
        case .passt: return queues[number]?.receiveFromPasst(logger) ?? false
        }
    }

    @inline(never)
    private static func send(
        _ number: Int, _ pair: Int, _ queues: inout Table<RunningQueue<NetEngine>?>,
        _ service: NetService, _ logger: Logger
    ) -> Bool {
        switch service.link {
        case .null, .generator: return queues[number]?.discard(logger) ?? false
        case .copy: return queues[number]?.discard(copies: true, logger) ?? false
        case .loopback:
            return queues.with(number, number ^ 1) { sender, receiver in
                sender?.pass(to: &receiver, logger) ?? false
            }
        case .tap(let tap): return queues[number]?.send(to: tap, pair, logger) ?? false
        case .passt:
            return queues.with(number, number ^ 1) { sender, receiver in
                sender?.send(to: &receiver, logger) ?? false
            }
        case .switch(let link): return forward(number, over: link, &queues)
        }
    }
}

/// How a guest lays out packets, fixed while a queue runs.
struct PacketShape {
    /// Bytes of the header before each packet.
    let headerBytes: Int
    /// Whether a packet for the guest may be put into several chains.
    let isMergeable: Bool

    /// The header of a packet out of the guest, and how many bytes follow it; nil, and counted, where
    /// the chain holds no packet.
    @inline(__always)
    func takeHeader(
        _ readable: borrowing IOVectors, _ counters: inout QueueCounters
    ) -> (NetHeader, bytes: Int)? {
        counters.requests &+= 1
        let bytes = readable.byteCount &- headerBytes
        guard bytes >= NetLayout.ethernetBytes, bytes <= NetLayout.largestPacket,
            let (low, high) = readable.header(headerBytes)
        else {
            counters.malformed &+= 1
            return nil
        }
        counters.bytesRead &+= UInt64(bytes)
        return (NetHeader(words: low, high), bytes)
    }
}

extension PacketCopies {
    /// Makes the copies, of packets with nothing in their headers.
    @inline(__always)
    mutating func make() {
        let (low, high) = NetHeader.plain.words
        make(low, high)
    }
}

/// Room for the packet under way, a queue's own; never more than a breath's.
struct NetScratch: ~Copyable {
    /// Packets taken in one breath.
    static let burst = 64
    /// Chains that one packet may be put into.
    static let mostChains = 256

    /// The chain that a packet is in, and the first and the latest that it is put into.
    var source = ChainBuffers()
    var target = ChainBuffers()
    var more = ChainBuffers()
    /// Packets of this breath that have a place in a guest's buffers and are not there yet.
    var copies = PacketCopies(capacity: NetScratch.burst)
    /// Several chains' buffers as one, for a link that is read at once.
    var gathered = IOVectors(capacity: QueueLimits.buffers)
    /// Chains that were taken for one packet, and the bytes that each has room for or was given.
    var held = Table<Chain?>(count: NetScratch.mostChains) { _ in nil }
    var heldBytes = Table<UInt32>(count: NetScratch.mostChains) { _ in 0 }
    var finisher: Finisher
    /// What is handed over of the finisher's memory; a packet of its own where one is made up.
    var finished = IOVectors(capacity: 1)
    /// Where in it the next packet is put that is copied before it is dropped.
    private var place = 0
    /// The beginning of a frame whose tag is changed.
    let head: Mapping

    init() throws(SystemError) {
        let head = try Mapping.anonymous(count: 64)
        finisher = try Finisher()
        self.head = head
    }

    /// Copies the packet of `source` to memory of our own, behind the one before: as one would who
    /// keeps it for a while.
    /// - Parameter offset: its header's bytes, which `count` bytes follow.
    @inline(__always)
    mutating func keep(from offset: Int, count: Int) {
        if finished.byteCount == 0 {
            _ = finished.append(finisher.memory, count: NetLayout.largestPacket)
        }
        if place &+ count > NetLayout.largestPacket { place = 0 }
        finished.copy(at: place, from: source.readable, at: offset, count: count)
        // At whole cache lines, as buffers are.
        place = (place &+ count &+ 63) & ~63
    }
}
