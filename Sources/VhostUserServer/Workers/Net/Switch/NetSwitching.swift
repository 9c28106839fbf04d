import EthernetSwitch
import GuestMemory
import Host
import Logging
import VirtioNet
import VirtioSpec
import Virtqueue

/// From one port's guest to the others'.
extension NetEngine {
    /// A breath of the queue out of the guest at a port. Most frames of a breath go the same way: those
    /// pass from ring to ring in one loop, and any other comes out of it.
    @inline(never)
    static func forward(
        _ number: Int, over link: SwitchLink, _ queues: inout Table<RunningQueue<NetEngine>?>
    ) -> Bool {
        guard let port = queues[number]?.engine.port else { return false }
        guard !link.isUplink(port) else {
            return forwardFromUplink(number, port, over: link, &queues)
        }
        guard queues[number]?.hasMore() ?? false else { return false }
        guard queues[number]?.isEnabled ?? false else {
            return queues[number]?.discard(link.logger(port)) ?? false
        }
        guard let table = link.take() else { return false }
        var breath = SwitchBreath(table, port: port, now: SwitchLink.now())
        var target = queues[number]?.engine.lastTarget ?? port
        repeat {
            queues.with(number, SwitchLink.receiver(target)) { sender, receiver in
                sender?.forward(to: &receiver, target, link, &breath)
            }
            guard let chain = breath.chain.take() else { break }
            queues.deliver(from: number, link, &breath)
            if case .to(let port, _) = breath.frame.verdict { target = port }
            queues[number]?.form.complete(chain)
        } while breath.count < NetScratch.burst
        queues[number]?.engine.scratch.copies.make()
        for port in breath.served { queues[SwitchLink.receiver(port)]?.show() }
        let result = PassResult(count: breath.count, senderFault: breath.senderFault)
        queues[number]?.engine.lastTarget = target
        queues[number]?.finish(result, link.logger(port))
        let now = breath.now
        link.putBack(breath.end(), now: now)
        return result.count > 0
    }
}

extension RunningQueue where Engine == NetEngine {
    mutating func hasMore() -> Bool { mayTake && form.hasAvailable() }

    /// Takes frames, and puts those for the guest at the port `target` into `receiver`, until one
    /// comes that goes another way, or none any more.
    fileprivate mutating func forward(
        to receiver: inout RunningQueue<NetEngine>?, _ target: Int, _ link: SwitchLink,
        _ breath: inout SwitchBreath
    ) {
        guard receiver?.mayTake ?? false else {
            return form.takeFrame(&engine, &memory, &breath)
        }
        let before = breath.sent
        receiver?.accept(from: &self, target, &breath)
        if breath.sent != before { breath.served.insert(target) }
        if let fault = breath.receiverFault.take() { receiver?.report(fault, link.logger(target)) }
    }

    private mutating func accept(
        from sender: inout RunningQueue<NetEngine>, _ target: Int, _ breath: inout SwitchBreath
    ) {
        sender.form.forward(
            to: &form, target, &sender.engine, &sender.memory, &engine, &memory, &breath)
    }

    /// Puts the frame in the sender's `scratch.source`, which is without its header, into the ring.
    fileprivate mutating func accept(
        _ header: NetHeader, _ bytes: Int, from sender: inout RunningQueue<NetEngine>,
        _ target: Int, _ link: SwitchLink, _ breath: inout SwitchBreath
    ) {
        let before = engine.counters
        let fault = form.putOtherwise(
            header, bytes, from: sender.engine.net.guestGives, &engine, &memory,
            &sender.engine.scratch)
        if let fault { report(fault, link.logger(target)) }
        if fault != nil || engine.counters.dropped != before.dropped {
            breath.table.countDrop(.receiverFull, at: target)
        }
        if engine.counters.malformed != before.malformed {
            breath.table.countDrop(.malformed, at: target)
        }
        if engine.counters.requests != before.requests { breath.table.countSent(to: target) }
        breath.served.insert(target)
    }

    /// Has `scratch.source` hold the frame with its tag changed, and without its header; or, asked
    /// again, as it was. False where there is no room for that.
    fileprivate mutating func edit(_ frame: SwitchedFrame, _ change: TagChange) -> Bool {
        let (made, taken) = frame.head.put(change, count: frame.bytes, into: engine.scratch.head)
        engine.scratch.gathered.removeAll()
        guard engine.scratch.gathered.append(engine.scratch.head, count: made),
            engine.scratch.gathered.append(
                engine.scratch.source.readable, from: engine.shape.headerBytes + taken)
        else { return false }
        exchange()
        return true
    }

    fileprivate mutating func exchange() {
        swap(&engine.scratch.source.readable, &engine.scratch.gathered)
    }
}

extension Table where Element == RunningQueue<NetEngine>? {
    /// Gives the frame that was taken last to whom it is for. It is in the sender's `scratch.source`.
    mutating func deliver(from number: Int, _ link: SwitchLink, _ breath: inout SwitchBreath) {
        switch breath.frame.verdict {
        case .drop: break
        case .to(let port, let change):
            deliver(from: number, to: PortSet([port]), change, link, &breath)
        case .flood(let flood):
            deliver(from: number, to: flood.bare, flood.bareChange, link, &breath)
            deliver(from: number, to: flood.tagged, flood.taggedChange, link, &breath)
        }
    }

    /// Gives the frame to those at `ports`, each as far finished as it wants it. What one of them has no room for is dropped there.
    fileprivate mutating func deliver(
        from number: Int, to ports: PortSet, _ change: TagChange, _ link: SwitchLink,
        _ breath: inout SwitchBreath
    ) {
        guard !ports.isEmpty else { return }
        let bytes = breath.frame.bytes + change.growth
        guard let header = change.moved(breath.frame.header) else {
            return breath.table.countDrop(.malformed, at: breath.port)
        }
        guard bytes <= NetLayout.largestPacket,
            self[number]?.edit(breath.frame, change) ?? false
        else {
            return breath.table.countDrop(.tooLong, at: breath.port)
        }
        for port in ports {
            if let tap = link.tap(port) {
                self[number]?.send(header, bytes, to: tap, port, &breath)
                continue
            }
            self.with(number, SwitchLink.receiver(port)) { sender, receiver in
                guard receiver?.mayTake ?? false, sender != nil else {
                    return breath.table.countDrop(.receiverFull, at: port)
                }
                sender?.give(header, bytes, to: &receiver, port, link, &breath)
            }
        }
        self[number]?.exchange()
    }
}

extension RunningQueue where Engine == NetEngine {
    fileprivate mutating func give(
        _ header: NetHeader, _ bytes: Int, to receiver: inout RunningQueue<NetEngine>?,
        _ target: Int, _ link: SwitchLink, _ breath: inout SwitchBreath
    ) {
        receiver?.accept(header, bytes, from: &self, target, link, &breath)
    }
}

extension DeviceQueue where Self: ~Copyable {
    /// Takes a chain and judges the frame in it; returns it where it is to go somewhere.
    @inline(__always)
    private mutating func nextFrame(
        _ engine: inout NetEngine, _ memory: inout GuestMemory, _ breath: inout SwitchBreath
    ) throws(QueueViolation) -> Chain? {
        guard breath.count < NetScratch.burst,
            let chain = try next(&memory, &engine.scratch.source)
        else { return nil }
        breath.count &+= 1
        let offset = engine.shape.headerBytes
        if let (header, bytes) = engine.shape.takeHeader(
            engine.scratch.source.readable, &engine.counters)
        {
            let head = engine.scratch.source.readable.frameHead(at: offset)
            engine.capture?.record(
                engine.scratch.source.readable, from: offset, .outOfGuest, at: engine.port)
            breath.frame.header = header
            breath.frame.head = head
            breath.frame.bytes = bytes
            breath.frame.verdict = breath.judge(header, head, bytes, engine.net.guestGives)
        } else {
            breath.frame.verdict = breath.refuse(.runt)
        }
        return chain
    }

    /// Takes one frame, for whatever it is.
    mutating func takeFrame(
        _ engine: inout NetEngine, _ memory: inout GuestMemory, _ breath: inout SwitchBreath
    ) {
        do throws(QueueViolation) {
            breath.chain = try nextFrame(&engine, &memory, &breath)
        } catch { breath.senderFault = error }
    }

    @inline(__always)
    mutating func forward<Target: DeviceQueue & ~Copyable>(
        to target: inout Target?, _ port: Int, _ sender: inout NetEngine,
        _ memory: inout GuestMemory, _ receiver: inout NetEngine,
        _ receiverMemory: inout GuestMemory, _ breath: inout SwitchBreath
    ) {
        do throws(QueueViolation) {
            while let chain = try nextFrame(&sender, &memory, &breath) {
                guard case .to(port, .none) = breath.frame.verdict, breath.frame.header.isPlain
                else {
                    breath.chain = .some(chain)
                    return
                }
                do throws(QueueViolation) {
                    let isPut =
                        // Its head is what was judged, whatever its sender has written since.
                        try target?.put(
                            sender.scratch.source.readable, sender.shape.headerBytes,
                            breath.frame.bytes, breath.frame.head, receiver.shape,
                            &receiver.counters, &receiverMemory, &sender.scratch.target,
                            &sender.scratch.copies, isFirst: breath.count == 1) ?? false
                    guard isPut else {
                        breath.chain = .some(chain)
                        return
                    }
                    breath.sent &+= 1
                    breath.table.countSent(to: port)
                    receiver.capture?.record(
                        sender.scratch.source.readable, from: sender.shape.headerBytes, .intoGuest,
                        at: port)
                } catch {
                    breath.receiverFault = error
                    breath.table.countDrop(.receiverFull, at: port)
                }
                complete(chain, written: 0)
            }
        } catch { breath.senderFault = error }
    }
}
