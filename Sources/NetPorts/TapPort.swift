import Host
import Synchronization
import VirtioNet
import VirtioSpec

/// A TAP device of the host's: a queue for every pair of the guest's.
///
/// Packets go between the guest's buffers and the kernel without a copy of ours, and with the header
/// that the guest's driver wrote or reads, so that checksums and segmentation pass through whole.
/// Any thread may call anything; the packets of one queue should be one worker's.
public final class TapPort: Sendable {
    /// The device's name: "tap0" where "tap%d" was asked for.
    public let name: String
    /// What the host takes unfinished from the guest.
    public let takes: NetOffloads
    /// What the host may hand to the guest unfinished.
    public let gives: NetOffloads
    private let queues: Table<TapQueue>
    private let origin: Origin
    private let settings: Locked<Settings>
    /// Nil for a device handed in, whose namespace may not be ours, or where it can't be had.
    private let watch: InterfaceWatch?
    private let isGone = Atomic<Bool>(false)

    private enum Origin { case made, found, handedIn }

    private struct Settings {
        var headerBytes = NetLayout.headerBytes
        var offloads: TapOffloads = []
        /// Which queues the kernel has attached, and which are to be, as far as they are in use.
        var isAttached: [Bool]
        var isWanted: [Bool]
        /// How many queues are in use, the first ones.
        var inUse: Int
        /// What was asked for; a device that is made again is to have it again.
        var mtu: Int?
    }

    /// Joins the TAP `name`, or makes it where there is none, and sets it up where that is permitted.
    public convenience init(name: String, queues count: Int) throws(PortFault) {
        let origin = Interface.exists(name) ? Origin.found : .made
        try self.init(try Self.join(name, count), origin, name)
        try? Interface.setUp(self.name)
    }

    /// Takes over descriptors that somebody else opened, one for each queue. Their interface is not
    /// ours to set up.
    public convenience init(adopting descriptors: [Int32]) throws(PortFault) {
        precondition(!descriptors.isEmpty)
        var names: [String] = []
        let queues = try Table(trying: descriptors.count) { index throws(PortFault) in
            let number = descriptors[index]
            guard let descriptor = OwnedFD(checking: number) else {
                throw .notATapDescriptor(number)
            }
            let queue = TapQueue(adopting: descriptor)
            guard let facts = try? queue.facts() else { throw .notATapDescriptor(number) }
            guard facts.isTap, facts.hasHeaders,
                facts.isMultiqueue || descriptors.count == 1
            else { throw .unfit(number, facts.name) }
            if !names.contains(facts.name) { names.append(facts.name) }
            return queue
        }
        guard names.count == 1 else { throw .differentTaps(names) }
        try self.init(queues, .handedIn, names[0])
    }

    private init(
        _ queues: consuming Table<TapQueue>, _ origin: Origin, _ name: String
    ) throws(PortFault) {
        let all = [Bool](repeating: true, count: queues.count)
        let settings = Settings(isAttached: all, isWanted: all, inUse: all.count)
        do throws(SystemError) {
            self.name = try queues[0].facts().name
            gives = Self.known(queues[0])
            try queues[0].setHeader(bytes: settings.headerBytes)
            try queues[0].setOffloads(settings.offloads)
        } catch { throw .tap(name, error) }
        // The kernel cuts whatever the guest sends it; datagrams since it hands them out too.
        takes = gives.union([.checksum, .tcp4, .tcp6, .ecn])
        self.queues = queues
        self.origin = origin
        watch = origin == .handedIn ? nil : try? InterfaceWatch()
        self.settings = Locked(settings)
    }

    public var queueCount: Int { queues.count }

    /// The number to poll; it stays the same when the device is opened again.
    public func descriptor(_ queue: Int) -> Int32 { queues[queue].descriptor.raw }

    /// Gives the host a packet as it lies in the guest's buffers, its header first.
    public func send(_ queue: Int, _ buffers: borrowing IOVectors) -> PortSend {
        let put = queues[queue].send(buffers)
        if put >= 0 { return .sent }
        switch Int32(-put) {
        case SystemErrorCode.wouldBlock, SystemErrorCode.interrupted: return .full
        case let code where Self.meansGone(code):
            isGone.store(true, ordering: .relaxed)
            return .lost
        // EIO among them: an interface that is down, and may be set up again.
        case let code: return .dropped(code)
        }
    }

    /// Takes a packet from the host, its header first. Returns bytes, or errno negated: EAGAIN where
    /// there is none, EMSGSIZE and EFAULT where one did not fit into the buffers and is lost, EBADFD
    /// or ENODEV where the device is.
    public func receive(_ queue: Int, into buffers: borrowing IOVectors) -> Int {
        let got = queues[queue].receive(into: buffers)
        if got < 0, Self.meansGone(Int32(-got)) { isGone.store(true, ordering: .relaxed) }
        return got
    }

    /// Whether `code` says that the device itself is no more.
    public static func meansGone(_ code: Int32) -> Bool {
        code == SystemErrorCode.deviceGone || code == SystemErrorCode.noDevice
    }
}

// What is set, and opening it again.
extension TapPort {
    /// Whether the device has been found gone; `reopen` may bring it back.
    public var isLost: Bool { isGone.load(ordering: .relaxed) }

    /// Whether packets can flow; nil for a device handed in, whose namespace may not be ours.
    public var isUp: Bool? { origin == .handedIn ? nil : Interface.isUp(name) }

    /// Bytes of the largest packet, without its Ethernet header; nil where that can't be seen.
    public var mtu: Int? { origin == .handedIn ? nil : try? Interface.mtu(name) }

    /// Readable after `isUp` may have changed; nil where that can't be seen.
    public var watchDescriptor: Int32? { watch?.descriptor.raw }

    /// Forgets the changes so far: `isUp` is asked for next.
    public func drainWatch() { watch?.drain() }

    /// Sets the interface's MTU. False where that is not permitted, and for a device handed in.
    public func setMTU(_ bytes: Int) -> Bool {
        guard origin != .handedIn else { return false }
        settings.withLock { $0.mtu = bytes }
        return (try? Interface.setMTU(name, bytes)) != nil
    }

    /// Says how long headers are, and what the guest takes unfinished, for all queues. False where
    /// the device is gone; it is set when that is opened again.
    @discardableResult
    public func use(headerBytes: Int, guestTakes: NetOffloads) -> Bool {
        settings.withLock { settings in
            settings.headerBytes = headerBytes
            settings.offloads = TapOffloads(guestTakes.intersection(gives))
            do throws(SystemError) {
                try queues[0].setHeader(bytes: headerBytes)
                try queues[0].setOffloads(settings.offloads)
                return true
            } catch {
                if Self.meansGone(error.code) { isGone.store(true, ordering: .relaxed) }
                return false
            }
        }
    }

    /// Lets the device give `queue` packets again; at first all queues have them. False where the
    /// device has one queue only, or is gone; then it is so when that is opened again.
    @discardableResult
    public func attach(_ queue: Int) -> Bool { set(queue, isAttached: true) }

    /// Has the device give `queue` no more packets: those that wait there are dropped, and the flows
    /// go to the other queues.
    @discardableResult
    public func detach(_ queue: Int) -> Bool { set(queue, isAttached: false) }

    /// Lets the device give packets to the first `count` queues alone, of those that are attached, and
    /// of the others to the first.
    public func limit(to count: Int) {
        settings.withLock { settings in
            guard settings.inUse != count else { return }
            settings.inUse = count
            for queue in 1..<max(1, queues.count) { _ = settle(queue, &settings) }
        }
    }

    private func set(_ queue: Int, isAttached: Bool) -> Bool {
        settings.withLock { settings in
            let before = settings.isWanted[queue]
            settings.isWanted[queue] = isAttached
            if settle(queue, &settings) { return true }
            // What is wanted while the device is away holds when it is back.
            if !isLost { settings.isWanted[queue] = before }
            return false
        }
    }

    /// Makes the kernel's state what is wanted. False where it will not have it.
    private func settle(_ queue: Int, _ settings: inout Settings) -> Bool {
        let isAttached = settings.isWanted[queue] && queue < settings.inUse
        if settings.isAttached[queue] == isAttached { return true }
        if (try? queues[queue].setAttached(isAttached)) != nil {
            settings.isAttached[queue] = isAttached
            return true
        }
        // A queue that was detached when the device went says no more than that it won't.
        if (try? queues[0].facts()) == nil {
            isGone.store(true, ordering: .relaxed)
            settings.isAttached[queue] = isAttached
        }
        return false
    }

    /// Opens the device once more after it was lost: makes it again if we made it, or joins it if it
    /// is there again. The descriptors keep their numbers, but who waits on one must begin anew. Does
    /// nothing where nothing is lost.
    public func reopen() throws(PortFault) {
        guard isLost else { return }
        try settings.withLock { (settings: inout Settings) throws(PortFault) in
            // A worker may have been late to say what another has seen mended since.
            if (try? queues[0].facts()) == nil { try replace(settings) }
            isGone.store(false, ordering: .relaxed)
            if let mtu = settings.mtu { try? Interface.setMTU(name, mtu) }
        }
        try? Interface.setUp(name)
    }

    private func replace(_ settings: Settings) throws(PortFault) {
        guard origin != .handedIn else { throw .handedIn(name) }
        guard origin == .made || Interface.exists(name) else { throw .absent(name) }
        let fresh = try Self.join(name, queues.count)
        do throws(SystemError) {
            try fresh[0].setHeader(bytes: settings.headerBytes)
            try fresh[0].setOffloads(settings.offloads)
            for queue in 0..<queues.count {
                if !settings.isAttached[queue] { try fresh[queue].setAttached(false) }
                try queues[queue].become(fresh[queue])
            }
        } catch { throw .tap(name, error) }
    }
}

// Joining.
extension TapPort {
    private static func join(_ name: String, _ count: Int) throws(PortFault) -> Table<TapQueue> {
        precondition(count > 0)
        var actual = name
        return try Table(trying: count) { index throws(PortFault) in
            let queue = try joinOne(actual, among: count)
            // Where the kernel chose the number, the other queues are to join the same.
            if index == 0, let facts = try? queue.facts() { actual = facts.name }
            return queue
        }
    }

    private static func joinOne(_ name: String, among count: Int) throws(PortFault) -> TapQueue {
        do throws(SystemError) {
            return try TapQueue(name: name, isMultiqueue: count > 1)
        } catch  where error.code == SystemErrorCode.invalid {
            // Made for the other number of queues, or something else that bears the name.
            guard let queue = try? TapQueue(name: name, isMultiqueue: count == 1) else {
                throw .notATap(name)
            }
            guard count == 1 else { throw .oneQueue(name) }
            return queue
        } catch { throw .tap(name, error) }
    }

    /// The most that the kernel says it can hand over unfinished.
    private static func known(_ queue: borrowing TapQueue) -> NetOffloads {
        let tcp: NetOffloads = [.checksum, .tcp4, .tcp6]
        for offloads in [tcp.union([.ecn, .udpDatagrams]), tcp.union(.ecn), tcp, .checksum] {
            if (try? queue.setOffloads(TapOffloads(offloads))) != nil { return offloads }
        }
        return []
    }
}

extension TapOffloads {
    /// What the guest takes, as the kernel has it: nothing without checksums, and ECN with TCP only.
    fileprivate init(_ offloads: NetOffloads) {
        self = []
        guard offloads.contains(.checksum) else { return }
        insert(.checksum)
        if offloads.contains(.tcp4) { insert(.tcp4) }
        if offloads.contains(.tcp6) { insert(.tcp6) }
        let hasTCP = !isDisjoint(with: [.tcp4, .tcp6])
        if hasTCP, offloads.contains(.ecn) { insert(.ecn) }
        if offloads.contains(.udpDatagrams) { insert(.udpDatagrams) }
    }
}
