import Host
import VhostUserFrontend
import VirtioSpec

/// What the receiving port sends the other way, again and again, so that a switch knows where it
/// is: what is for nobody known goes to everybody.
final class NetHail {
    /// The sending port's queue into the guest.
    let into: DriverQueue
    /// The receiving port's queue out of it.
    let outOf: DriverQueue
    private let receive: ReceiveStream
    private let transmit: TransmitStream
    /// The packet's beginning, by which it is known: both addresses, and what follows.
    private let beginning: (UInt64, UInt64)
    private var isOut = false
    private var due: UInt64 = 0
    /// Whether one has come through.
    private(set) var isHeard = false

    /// Switches forget within minutes.
    private static let interval: UInt64 = 1_000_000_000
    /// What is sent before the other port is ready is lost.
    private static let firstInterval: UInt64 = 10_000_000
    /// For what is flooded, it does not matter how much of it.
    private static let slots = 16

    /// - Parameters:
    ///   - plan: of the packets that go the usual way.
    ///   - receiver: the card that those come in at; `sender` that they go out of.
    init(
        _ plan: NetPlan, from receiver: NetLink, to sender: NetLink
    ) throws(FrontendError) {
        var back = plan
        swap(&back.source, &back.destination)
        back.frameBytes = NetPacket.leastBytes
        let packet = NetPacket(back, flow: 0)
        into = try sender.shape.queue(sender.ram)
        outOf = try receiver.shape.queue(receiver.ram)
        receive = ReceiveStream(plan, into, sender, slots: Self.slots)
        transmit = TransmitStream(
            outOf, slots: 1, packetBytes: packet.bytes.count, headerBytes: receiver.headerBytes)
        transmit.fill(0, packet.bytes, header: packet.header)
        beginning = (Bytes.u64(packet.bytes, at: 0), Bytes.u64(packet.bytes, at: 8))
        into.suppressCalls()
        outOf.suppressCalls()
        try receive.fill()
        into.publish()
    }

    /// Takes in what has come through and sends the next, when it is time.
    func turn(_ now: UInt64) throws(FrontendError) {
        guard now >= due else { return }
        due = now + (isHeard ? Self.interval : Self.firstInterval)
        while let packet = try receive.next() {
            let memory = receive.memory
            if memory.load64(at: packet.offset) == beginning.0,
                memory.load64(at: packet.offset + 8) == beginning.1
            {
                isHeard = true
            }
            receive.giveBack()
        }
        if try receive.fill() > 0 { into.submit() }
        while try transmit.reap() != nil { isOut = false }
        guard !isOut else { return }
        isOut = transmit.offer(0)
        outOf.submit()
    }
}

extension ReceiveStream {
    /// For the packets of a load.
    convenience init(_ plan: NetPlan, _ queue: DriverQueue, _ link: NetLink, slots: Int) {
        self.init(
            queue, slots: slots,
            bytesPerBuffer: plan.bufferBytes(
                headerBytes: link.headerBytes, isMergeable: link.isMergeable),
            headerBytes: link.headerBytes, isMergeable: link.isMergeable)
    }
}
