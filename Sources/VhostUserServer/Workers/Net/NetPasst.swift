import GuestMemory
import Host
import Logging
import NetPorts
import VirtioNet
import VirtioSpec
import Virtqueue

/// Between a guest's rings and a passt. The receiving queue keeps the link and looks for it where it is
/// lost; the sending one borrows it.
extension RunningQueue where Engine == NetEngine {
    mutating func send(
        to receiver: inout RunningQueue<NetEngine>?, _ logger: Logger
    ) -> Bool {
        guard mayTake else { return false }
        guard isEnabled, var link = receiver?.engine.passt.take() else { return discard(logger) }
        let result = form.send(to: &link, &engine, &memory)
        engine.passtDescriptor = link.descriptor
        receiver?.engine.passt = .some(link)
        finish(result, logger)
        return result.count > 0
    }

    mutating func receiveFromPasst(_ logger: Logger) -> Bool {
        guard mayTake, engine.wait == .nothing, var link = engine.passt.take() else {
            return false
        }
        if !link.isConnected { connect(&link, logger) }
        let result =
            link.isConnected ? form.receive(from: &link, &engine, &memory) : PassResult()
        if !link.isConnected {
            if let loss = link.loss, loss != .notYet { sayLost(loss, logger) }
            engine.wait = .link
        }
        setLink(isUp: link.isConnected)
        engine.passtDescriptor = link.descriptor
        engine.passt = .some(link)
        finish(result, logger)
        return result.count > 0
    }

    private mutating func connect(_ link: inout PasstLink, _ logger: Logger) {
        do throws(PortFault) {
            try link.connect()
            logger.info("connected to passt at \(link.path)")
            engine.hasSaidLost = false
        } catch {
            guard !engine.hasSaidLost else { return }
            engine.hasSaidLost = true
            logger.warning("\(error); packets are dropped, and it is looked for every second")
        }
    }

    private mutating func sayLost(_ loss: PasstLoss, _ logger: Logger) {
        guard !engine.hasSaidLost else { return }
        engine.hasSaidLost = true
        logger.warning("\(loss); packets are dropped, and it is looked for every second")
    }
}

extension DeviceQueue where Self: ~Copyable {
    mutating func send(
        to link: inout PasstLink, _ engine: inout NetEngine, _ memory: inout GuestMemory
    ) -> PassResult {
        var result = PassResult()
        do throws(QueueViolation) {
            while result.count < NetScratch.burst {
                // A frame that is begun comes first, whether or not there is another.
                if link.flush() == .full {
                    engine.wait = .link
                    break
                }
                guard let chain = try next(&memory, &engine.scratch.source) else { break }
                guard
                    engine.shape.takeHeader(engine.scratch.source.readable, &engine.counters)
                        != nil
                else {
                    result.count += 1
                    complete(chain, written: 0)
                    continue
                }
                let sent = link.send(
                    engine.scratch.source.readable, from: engine.shape.headerBytes)
                if sent == .full {
                    engine.counters.requests &-= 1
                    putBack(chain)
                    engine.wait = .link
                    break
                }
                if sent == .sent {
                    engine.capture?.record(
                        engine.scratch.source.readable, from: engine.shape.headerBytes,
                        .outOfGuest)
                } else {
                    engine.counters.dropped &+= 1
                }
                result.count += 1
                complete(chain, written: 0)
            }
        } catch { result.senderFault = error }
        return result
    }

    mutating func receive(
        from link: inout PasstLink, _ engine: inout NetEngine, _ memory: inout GuestMemory
    ) -> PassResult {
        var result = PassResult()
        do throws(QueueViolation) {
            while result.count < NetScratch.burst {
                guard let frame = link.next() else {
                    switch link.fill() {
                    case .some where link.next() != nil: continue
                    case .some, .empty: engine.wait = .link
                    case .lost: break
                    }
                    break
                }
                // Without room for it, it stays: the driver's next buffers wake us.
                guard hasAvailable() else { break }
                engine.scratch.finished.removeAll()
                _ = engine.scratch.finished.append(
                    link.input, at: frame.lowerBound, count: frame.count)
                guard engine.net.receives(engine.scratch.finished, at: 0) else {
                    engine.counters.dropped &+= 1
                    link.consume()
                    result.count += 1
                    continue
                }
                let isPut = try putMerged(
                    .plain, engine.scratch.finished, 0, frame.count, engine.shape,
                    &engine.counters, &memory, &engine.scratch.target, &engine.scratch.more,
                    &engine.scratch.held, &engine.scratch.heldBytes)
                if isPut {
                    engine.capture?.record(engine.scratch.finished, from: 0, .intoGuest)
                } else {
                    engine.counters.dropped &+= 1
                }
                link.consume()
                result.count += 1
            }
        } catch { result.senderFault = error }
        return result
    }
}
