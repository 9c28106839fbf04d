import Host
import VhostUserFrontend
import VirtioSpec

/// One queue pair under load, or a switch between two ports. Per packet it allocates nothing and makes no system call but a kick;
/// the clock is read once for all that come back together.
final class NetLane: BenchLane {
    /// The pair's queues; across a switch they belong to two ports.
    private let into: DriverQueue
    private let outOf: DriverQueue
    let awaited: [DriverQueue]
    /// What goes the other way across a switch.
    private let hail: NetHail?
    private let receive: ReceiveStream
    private let transmit: TransmitStream
    private let plan: NetPlan
    /// What a packet's header is, as words; one of 10 bytes is not that.
    private let headerWords: (UInt32, UInt64)
    private let isFullHeader: Bool
    /// Packets that may be out and not in; in tx all that the ring takes.
    private let window: Int
    private let marks: NetMarks
    /// Whether packets go out, or what comes in is expected.
    private(set) var isOn = false

    /// Slots that are not known to be out, the first `idleCount` of them.
    private let idle: Table<Int>
    private var idleCount: Int
    /// Where the packets are: the first, and from one to the next.
    private let memory: Mapping
    private let firstOffset: Int
    private let stride: Int
    /// Where those that come in are.
    private let receivedMemory: Mapping
    /// Packets offered; taken by the back-end; come in.
    private(set) var offered: UInt64 = 0
    private(set) var taken: UInt64 = 0
    private(set) var received: UInt64 = 0
    private(set) var receivedBytes: UInt64 = 0
    /// Out and not in, of those not given up.
    private(set) var out = 0
    /// When something came in last, or began to be waited for.
    private var lastArrival: UInt64 = 0
    private static let patience: UInt64 = 200_000_000

    /// Nanoseconds between two packets, 0 for as fast as it goes; and when the next may go.
    private let interval: UInt64
    private var nextDue: UInt64 = 0

    /// With one packet out: when it went, and how long each took to come back.
    private let isTimed: Bool
    private var issued: UInt64 = 0
    private(set) var latencies = Latencies()
    private(set) var errors: UInt64 = 0
    private(set) var firstError: String?
    /// Read from each packet, as any receiver would; nobody wants it.
    private var glance: UInt64 = 0

    /// - Parameters:
    ///   - sender: the card that packets go out of; `receiver` that they come in at.
    init(
        _ plan: NetPlan, _ sender: NetLink, _ receiver: NetLink, _ pair: Int
    ) throws(FrontendError) {
        self.plan = plan
        into = try receiver.shape.queue(receiver.ram)
        outOf = try sender.shape.queue(sender.ram)
        awaited = [plan.mode == .tx ? outOf : into]
        hail = plan.mode == .across ? try NetHail(plan, from: receiver, to: sender) : nil
        let slots = plan.sendSlots(headerBytes: sender.headerBytes)
        receive = ReceiveStream(plan, into, receiver, slots: Int(into.size))
        transmit = TransmitStream(
            outOf, slots: slots, packetBytes: plan.frameBytes, headerBytes: sender.headerBytes,
            cuts: plan.cuts(headerBytes: sender.headerBytes))
        window =
            plan.mode.returns
            ? plan.window(headerBytes: receiver.headerBytes, isMergeable: receiver.isMergeable)
            : slots
        isTimed = plan.mode.returns && window == 1
        marks = NetMarks(frameBytes: plan.frameBytes)
        idle = Table(count: slots) { slots - 1 - $0 }
        idleCount = slots
        memory = transmit.memory
        firstOffset = transmit.offset(0)
        stride = transmit.stride
        receivedMemory = receive.memory
        isFullHeader = sender.headerBytes == NetLayout.headerBytes
        interval = plan.rate.map { UInt64(1e9 * Double(plan.pairs) / $0) } ?? 0
        let packet = NetPacket(plan, flow: pair)
        let header = packet.header.bytes()
        headerWords = (Bytes.u32(header, at: 0), Bytes.u64(header, at: 4))
        for slot in 0..<slots { transmit.fill(slot, packet.bytes, header: packet.header) }
        for queue in [into, outOf] where !plan.interrupts || queue !== awaited[0] {
            queue.suppressCalls()
        }
        // There when the ring starts, as a guest's are.
        try receive.fill()
        into.publish()
    }

    /// Of the device, or of two, one after the other: those of each into the guest first.
    var queues: [DriverQueue] {
        guard let hail else { return [into, outOf] }
        return [hail.into, outOf, into, hail.outOf]
    }

    /// The rings run: what was published before may need a kick.
    func begin() {
        into.kickIfWanted()
        hail?.into.kickIfWanted()
    }

    /// Whether packets would find their way.
    var isReady: Bool { hail?.isHeard ?? true }

    func start() { isOn = true }

    func turn(_ now: inout UInt64) throws(FrontendError) -> Int {
        switch plan.mode {
        case .rx:
            let count = try take(&now)
            if count > 0 { try refill() }
            return count
        case .tx:
            let before = taken
            try send(&now)
            if taken != before { now = Clock.nanoseconds() }
            return Int(taken - before)
        case .loop, .across:
            try hail?.turn(now)
            let count = try take(&now)
            if count == 0, out > 0, now > lastArrival + Self.patience { try giveUp() }
            if out == 0, count == 0 { now = Clock.nanoseconds() }
            // First what the other side waits for.
            try send(&now)
            if count > 0 { try refill() }
            return count
        }
    }

    /// Takes what has come in, a burst at most.
    private func take(_ now: inout UInt64) throws(FrontendError) -> Int {
        var count = 0
        while count < plan.burst, let packet = try receive.next() {
            count += 1
            receivedBytes &+= UInt64(packet.packetBytes)
            glance ^= receivedMemory.load64(at: packet.offset)
            if plan.isVerified, let trouble = marks.judge(packet, receivedMemory) {
                report(trouble)
            }
            receive.giveBack()
        }
        guard count > 0 else { return 0 }
        now = Clock.nanoseconds()
        received += UInt64(count)
        lastArrival = now
        // One that comes late counts, and is not waited for.
        out = max(0, out - count)
        if isTimed { latencies.record(now &- issued) }
        return count
    }

    /// Offers the buffers of what was taken again.
    private func refill() throws(FrontendError) {
        try receive.fill()
        into.submit()
    }

    /// Sends what may go, a burst at most.
    private func send(_ now: inout UInt64) throws(FrontendError) {
        guard isOn else { return try reap() }
        var count = min(plan.burst, window - out)
        if interval != 0 {
            now = Clock.nanoseconds()
            // What is late by more than the window is not made up for.
            nextDue = max(nextDue, now &- interval &* UInt64(window))
            count = nextDue > now ? 0 : min(count, Int((now - nextDue) / interval) + 1)
        }
        if idleCount < max(count, 1) { try reap() }
        count = min(count, idleCount)
        guard count > 0 else { return }
        if plan.mode.returns {
            issued = now
            if out == 0 { lastArrival = now }
            out += count
        }
        for _ in 0..<count {
            idleCount -= 1
            let slot = idle[idleCount]
            write(slot)
            guard transmit.offer(slot) else {
                throw .device("the ring is full with \(outOf.inFlight) packets")
            }
        }
        nextDue &+= interval &* UInt64(count)
        offered += UInt64(count)
        outOf.submit()
    }

    /// What a guest writes of a packet before it goes: its header and more, never nothing.
    private func write(_ slot: Int) {
        let offset = firstOffset + slot * stride
        if isFullHeader {
            memory.store32(headerWords.0, at: offset - 12)
            memory.store64(headerWords.1, at: offset - 8)
        }
        marks.stamp(memory, at: offset, whole: plan.isVerified)
    }

    /// Takes back the packets that the back-end has taken.
    private func reap() throws(FrontendError) {
        while let slot = try transmit.reap() {
            idle.set(idleCount, slot)
            idleCount += 1
            taken += 1
        }
    }

    /// Where the back-end has taken all that went out, and has been quiet since, what is missing does
    /// not come any more, and others may go.
    private func giveUp() throws(FrontendError) {
        try reap()
        if outOf.inFlight == 0 { out = 0 }
    }

    /// Nothing more goes out. What was given up may yet come back: it is waited for once more.
    func stop() {
        isOn = false
        guard plan.mode.returns else { return }
        out = Int(offered - min(offered, received))
        lastArrival = Clock.nanoseconds()
    }

    private func report(_ text: String) {
        errors += 1
        if firstError == nil { firstError = text }
    }

    func startCounting() { latencies.reset() }

    var due: UInt64? { isOn && interval != 0 && plan.mode.sends ? nextDue : nil }

    var missing: String? {
        guard isReady else { return "the back-end passes no packet from port to port" }
        guard !isDrained || (isOn && plan.mode == .rx) else { return nil }
        switch plan.mode {
        case .rx: return "the back-end sends no packets"
        case .tx: return "\(outOf.inFlight) packets are not taken"
        case .loop, .across: return "\(offered) packets went out, and \(received) came in"
        }
    }

    /// Whether all that went out is taken and in, or given up.
    var isDrained: Bool { outOf.inFlight == 0 && out == 0 }
}
