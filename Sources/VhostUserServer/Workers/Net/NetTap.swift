import GuestMemory
import Host
import Logging
import NetPorts
import VirtioNet
import VirtioSpec
import Virtqueue

/// Between a guest's rings and a TAP: the guest's own buffers go to the kernel, header and all.
extension RunningQueue where Engine == NetEngine {
    mutating func send(
        to tap: TapPort, _ pair: Int, _ logger: Logger
    ) -> Bool {
        guard mayTake else { return false }
        guard isEnabled, pair < tap.queueCount else { return discard(logger) }
        let result = form.send(to: tap, pair, &engine, &memory)
        finish(result, logger)
        return result.count > 0
    }

    mutating func receive(
        from tap: TapPort, _ pair: Int, _ logger: Logger
    ) -> Bool {
        if engine.isAttached != mayTake {
            engine.isAttached = mayTake
            engine.attach(mayTake)
        }
        followLink(of: tap)
        guard mayTake, pair < tap.queueCount, engine.wait == .nothing else { return false }
        let result = form.receive(from: tap, pair, &engine, &memory)
        finish(result, logger)
        if tap.isLost != engine.hasSaidLost { sayLost(tap, logger) }
        return result.count > 0
    }

    private mutating func sayLost(_ tap: TapPort, _ logger: Logger) {
        engine.hasSaidLost = tap.isLost
        engine.isLinkStale = true
        followLink(of: tap)
        if tap.isLost {
            logger.warning("\(tap.name) is gone; packets are dropped, and it is looked for")
        } else {
            logger.info("\(tap.name) is back")
        }
    }
}

extension DeviceQueue where Self: ~Copyable {
    mutating func send(
        to tap: TapPort, _ pair: Int, _ engine: inout NetEngine, _ memory: inout GuestMemory
    ) -> PassResult {
        var result = PassResult()
        do throws(QueueViolation) {
            while result.count < NetScratch.burst {
                guard let chain = try next(&memory, &engine.scratch.source) else { break }
                guard
                    engine.shape.takeHeader(
                        engine.scratch.source.readable, &engine.counters) != nil
                else {
                    result.count += 1
                    complete(chain, written: 0)
                    continue
                }
                switch tap.send(pair, engine.scratch.source.readable) {
                case .sent:
                    engine.capture?.record(
                        engine.scratch.source.readable, from: engine.shape.headerBytes,
                        .outOfGuest)
                case .full:
                    // It is not lost: it comes again when the TAP has room.
                    engine.counters.requests &-= 1
                    putBack(chain)
                    engine.wait = .link
                    return result
                case .dropped, .lost: engine.counters.dropped &+= 1
                }
                result.count += 1
                complete(chain, written: 0)
            }
        } catch { result.senderFault = error }
        return result
    }

    mutating func receive(
        from tap: TapPort, _ pair: Int, _ engine: inout NetEngine, _ memory: inout GuestMemory
    ) -> PassResult {
        var result = PassResult()
        do throws(QueueViolation) {
            while result.count < NetScratch.burst {
                let chains = try gather(&engine, &memory)
                // The driver's next buffers wake us; until then the TAP keeps its packets.
                guard chains > 0 else { break }
                let got = tap.receive(pair, into: engine.scratch.gathered)
                guard got > 0 else {
                    putBack(&engine.scratch.held, chains)
                    engine.wait = .link
                    break
                }
                guard engine.net.receives(engine.scratch.gathered, at: engine.shape.headerBytes)
                else {
                    putBack(&engine.scratch.held, chains)
                    engine.counters.dropped &+= 1
                    result.count += 1
                    continue
                }
                engine.capture?.record(
                    engine.scratch.gathered, from: engine.shape.headerBytes, upTo: got,
                    .intoGuest)
                finishReceived(got, chains, &engine)
                result.count += 1
            }
        } catch { result.senderFault = error }
        return result
    }

    /// Takes chains for the longest packet that may come, or one. Returns how many.
    private mutating func gather(
        _ engine: inout NetEngine, _ memory: inout GuestMemory
    ) throws(QueueViolation) -> Int {
        engine.scratch.gathered.removeAll()
        var count = 0
        let wanted = engine.shape.headerBytes + NetLayout.largestPacket
        for _ in 0..<engine.scratch.held.count {
            let chain: Chain?
            do throws(QueueViolation) { chain = try next(&memory, &engine.scratch.target) } catch {
                putBack(&engine.scratch.held, count)
                throw error
            }
            guard let chain else { break }
            let room = engine.scratch.target.writable.byteCount
            guard count > 0 || room >= engine.shape.headerBytes else {
                // Not even a header: the guest gets it back, or it would be in the way for ever.
                engine.counters.malformed &+= 1
                complete(chain, written: 0)
                continue
            }
            engine.scratch.held[count] = .some(chain)
            engine.scratch.heldBytes[count] = UInt32(truncatingIfNeeded: room)
            count += 1
            guard engine.scratch.gathered.append(engine.scratch.target.writable),
                engine.shape.isMergeable, engine.scratch.gathered.byteCount < wanted
            else { break }
        }
        return count
    }

    /// Gives back the chains that the `bytes` bytes read went into, and puts back the others.
    private mutating func finishReceived(
        _ bytes: Int, _ chains: Int, _ engine: inout NetEngine
    ) {
        var left = UInt32(truncatingIfNeeded: bytes)
        var used = 0
        while used < chains, left > 0 {
            engine.scratch.heldBytes[used] = min(left, engine.scratch.heldBytes[used])
            left -= engine.scratch.heldBytes[used]
            used += 1
        }
        putBack(&engine.scratch.held, from: used, chains)
        if engine.shape.headerBytes == NetLayout.headerBytes,
            let (low, high) = engine.scratch.gathered.header(NetLayout.headerBytes)
        {
            var header = NetHeader(words: low, high)
            header.bufferCount = UInt16(truncatingIfNeeded: used)
            let words = header.words
            engine.scratch.gathered.setHeader(words.0, words.1, engine.shape.headerBytes)
        }
        for index in 0..<used {
            if let chain = engine.scratch.held[index].take() {
                complete(chain, written: engine.scratch.heldBytes[index])
            }
        }
        engine.counters.requests &+= 1
        engine.counters.bytesWritten &+= UInt64(max(0, bytes - engine.shape.headerBytes))
    }
}
