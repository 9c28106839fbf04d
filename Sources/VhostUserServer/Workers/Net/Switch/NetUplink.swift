import EthernetSwitch
import Host
import Logging
import NetPorts
import VirtioNet
import VirtioSpec
import Virtqueue

/// A TAP at a switch's port. The worker has a queue for it, which has no ring: it is looked after like
/// the others, and takes packets from the TAP.
extension NetEngine {
    /// Takes packets from the TAP behind `port` and gives each to whom it is for. Returns whether there
    /// was any.
    @inline(never)
    static func forwardFromUplink(
        _ number: Int, _ port: Int, over link: SwitchLink,
        _ queues: inout Table<RunningQueue<NetEngine>?>
    ) -> Bool {
        guard let tap = link.tap(port), queues[number]?.isReady(tap) ?? false else { return false }
        guard let table = link.take() else {
            // What waits at the TAP wakes it again at once.
            queues[number]?.engine.wait = .link
            return false
        }
        var breath = SwitchBreath(table, port: port, now: SwitchLink.now())
        while breath.count < NetScratch.burst,
            queues[number]?.takeFrame(from: tap, &breath) ?? false
        {
            queues.deliver(from: number, link, &breath)
        }
        for port in breath.served { queues[SwitchLink.receiver(port)]?.show() }
        queues[number]?.sayLost(tap, link.logger(port))
        let (count, now) = (breath.count, breath.now)
        link.putBack(breath.end(), now: now)
        return count > 0
    }
}

extension RunningQueue where Engine == NetEngine {
    /// Whether the TAP may have something, or may be there again. Where it had nothing, it is waited
    /// for, and the wait has ended where the queue is awake.
    fileprivate mutating func isReady(_ tap: TapPort) -> Bool {
        engine.endWait()
        if tap.isLost { try? tap.reopen() }
        if tap.isLost { engine.wait = .link }
        return !tap.isLost && mayTake
    }

    fileprivate mutating func sayLost(_ tap: TapPort, _ logger: @autoclosure () -> Logger) {
        guard tap.isLost != engine.hasSaidLost else { return }
        engine.hasSaidLost = tap.isLost
        let logger = logger()
        if tap.isLost {
            logger.warning("\(tap.name) is gone; packets are dropped, and it is looked for")
        } else {
            logger.info("\(tap.name) is back")
        }
    }

    /// Takes a packet into private memory and judges it. False where there is none.
    fileprivate mutating func takeFrame(
        from tap: TapPort, _ breath: inout SwitchBreath
    ) -> Bool {
        guard let memory = engine.uplinkMemory else { return false }
        let shape = engine.shape
        engine.scratch.source.readable.removeAll()
        guard engine.scratch.source.readable.append(memory, count: memory.count) else {
            return false
        }
        let got = tap.receive(0, into: engine.scratch.source.readable)
        guard got > 0 else {
            engine.wait = .link
            return false
        }
        breath.count += 1
        engine.scratch.source.readable.dropLast(memory.count - got)
        breath.frame.verdict = .drop(.runt)
        guard
            let (header, bytes) = shape.takeHeader(
                engine.scratch.source.readable, &engine.counters)
        else {
            breath.frame.verdict = breath.refuse(.runt)
            return true
        }
        let head = engine.scratch.source.readable.frameHead(at: shape.headerBytes)
        engine.capture?.record(
            engine.scratch.source.readable, from: shape.headerBytes, .outOfGuest, at: engine.port)
        breath.frame.header = header
        breath.frame.head = head
        breath.frame.bytes = bytes
        breath.frame.verdict = breath.judge(header, head, bytes, engine.net.guestGives)
        return true
    }

    /// Gives the frame in `scratch.source`, which is without its header, to the TAP.
    mutating func send(
        _ header: NetHeader, _ bytes: Int, to tap: TapPort, _ port: Int,
        _ breath: inout SwitchBreath
    ) {
        guard tap.takes.covers(header) else {
            return finish(header, bytes, to: tap, port, &breath)
        }
        engine.scratch.more.readable.removeAll()
        guard engine.scratch.more.readable.append(engine.scratch.head, at: 32, count: 12),
            engine.scratch.more.readable.append(engine.scratch.source.readable, from: 0)
        else { return breath.table.countDrop(.tooLong, at: port) }
        send(header.passedOn, to: tap, port, &breath)
    }

    private mutating func finish(
        _ header: NetHeader, _ bytes: Int, to tap: TapPort, _ port: Int,
        _ breath: inout SwitchBreath
    ) {
        engine.scratch.source.readable.drain(
            at: 0, into: engine.scratch.finisher.memory, at: 0, count: bytes)
        guard engine.scratch.finisher.begin(header, count: bytes, for: tap.takes) else {
            return breath.table.countDrop(.malformed, at: port)
        }
        while let piece = engine.scratch.finisher.next() {
            engine.scratch.more.readable.removeAll()
            _ = engine.scratch.more.readable.append(engine.scratch.head, at: 32, count: 12)
            _ = engine.scratch.more.readable.append(
                engine.scratch.finisher.memory, at: piece.offset, count: piece.count)
            send(piece.header, to: tap, port, &breath)
        }
    }

    /// Sends what lies in `scratch.more`, the header's place first.
    private mutating func send(
        _ header: NetHeader, to tap: TapPort, _ port: Int, _ breath: inout SwitchBreath
    ) {
        let (low, high) = header.words
        engine.scratch.more.readable.setHeader(low, high, NetLayout.headerBytes)
        switch tap.send(0, engine.scratch.more.readable) {
        case .sent:
            breath.table.countSent(to: port)
            engine.capture?.record(
                engine.scratch.more.readable, from: NetLayout.headerBytes, .intoGuest, at: port)
        case .full: breath.table.countDrop(.receiverFull, at: port)
        case .dropped, .lost: breath.table.countDrop(.noReceiver, at: port)
        }
    }
}
