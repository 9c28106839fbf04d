import GuestMemory
import Host
import Logging
import NetPorts
import VirtioNet
import VirtioSpec
import Virtqueue

/// A packet of our own in the guest's name, by which its network learns where it is.
extension NetEngine {
    public static func announce(
        _ number: Int, _ queues: inout Table<RunningQueue<NetEngine>?>
    ) {
        guard let role = queues[number]?.engine.role, role == .transmit(pair: 0),
            let link = queues[number]?.engine.link,
            let address = queues[number]?.engine.net.takeAnnouncement()
        else { return }
        queues[number]?.engine.lay(ReverseARP.request(for: address))
        switch link {
        // No network is behind these.
        case .null, .copy, .loopback, .generator: break
        case .tap(let tap): queues[number]?.engine.announce(on: tap)
        case .passt:
            queues.with(number, number ^ 1) { sender, receiver in
                sender?.announce(through: &receiver)
            }
        case .switch(let link): announce(number, over: link, &queues)
        }
    }

    private static func announce(
        _ number: Int, over link: SwitchLink, _ queues: inout Table<RunningQueue<NetEngine>?>
    ) {
        guard let port = queues[number]?.engine.port, let table = link.take() else { return }
        var breath = SwitchBreath(table, port: port, now: SwitchLink.now())
        queues[number]?.engine.judge(&breath)
        queues.deliver(from: number, link, &breath)
        for port in breath.served { queues[SwitchLink.receiver(port)]?.show() }
        let now = breath.now
        link.putBack(breath.end(), now: now)
    }

    /// Puts a frame into `scratch.source`, as if the guest had sent it: behind a header that says
    /// nothing.
    private mutating func lay(_ frame: [UInt8]) {
        let bytes = [UInt8](repeating: 0, count: shape.headerBytes) + frame
        scratch.finisher.memory.write(bytes.span, at: 0)
        scratch.source.readable.removeAll()
        _ = scratch.source.readable.append(scratch.finisher.memory, count: bytes.count)
    }

    private func announce(on tap: TapPort) { record(tap.send(0, scratch.source.readable)) }

    private func record(_ outcome: PortSend) {
        guard outcome == .sent else { return }
        capture?.record(
            scratch.source.readable, from: shape.headerBytes, .outOfGuest, at: port)
    }

    fileprivate mutating func announce(through link: inout PasstLink) {
        record(link.send(scratch.source.readable, from: shape.headerBytes))
        // What did not fit waits for the queue's next breath.
        passtDescriptor = link.descriptor
    }

    private func judge(_ breath: inout SwitchBreath) {
        let head = scratch.source.readable.frameHead(at: shape.headerBytes)
        breath.frame.head = head
        breath.frame.bytes = scratch.source.readable.byteCount - shape.headerBytes
        breath.frame.verdict = breath.judge(.plain, head, breath.frame.bytes, net.guestGives)
    }
}

extension RunningQueue where Engine == NetEngine {
    fileprivate mutating func announce(through receiver: inout RunningQueue<NetEngine>?) {
        guard var link = receiver?.engine.passt.take() else { return }
        engine.announce(through: &link)
        receiver?.engine.passt = .some(link)
    }
}
