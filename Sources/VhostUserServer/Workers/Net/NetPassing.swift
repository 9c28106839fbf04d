import GuestMemory
import Host
import Logging
import VirtioNet
import VirtioSpec
import Virtqueue

/// From one guest's ring into another's.
extension RunningQueue where Engine == NetEngine {
    /// Takes a burst of packets and puts each into `receiver`, or drops it. Returns whether there was
    /// anything.
    mutating func pass(
        to receiver: inout RunningQueue<NetEngine>?, _ logger: Logger
    ) -> Bool {
        guard mayTake else { return false }
        guard isEnabled, receiver?.mayReceive ?? false else { return discard(logger) }
        var result = PassResult()
        receiver?.accept(from: &self, &result)
        finish(result, logger)
        guard result.count > 0 else { return false }
        receiver?.show()
        if let fault = result.receiverFault { receiver?.report(fault, logger) }
        return true
    }

    /// Whether packets may be put into it.
    var mayReceive: Bool { mayTake && engine.isActive }

    private mutating func accept(
        from sender: inout RunningQueue<NetEngine>,
        _ result: inout PassResult
    ) {
        result = sender.form.pass(
            to: &form, &sender.engine, &sender.memory, &engine, &memory)
    }

    /// Takes a burst of packets and drops them, unread or once they are copied.
    mutating func discard(copies: Bool = false, _ logger: Logger) -> Bool {
        guard mayTake else { return false }
        let result = form.discard(copies: copies, &engine, &memory)
        finish(result, logger)
        return result.count > 0
    }

    /// Fills the ring with packets of `bytes` bytes.
    mutating func generate(_ bytes: Int, _ logger: Logger) -> Bool {
        guard mayTake else { return false }
        let result = form.generate(bytes, &engine, &memory)
        finish(result, logger)
        return result.count > 0
    }

    /// The queue gets what others in the worker have for it, and waits for nothing else.
    mutating func waitForOthers() { engine.wait = .others }

    mutating func finish(_ result: PassResult, _ logger: @autoclosure () -> Logger) {
        show()
        if result.count > 0 { worked() }
        if let fault = result.senderFault { report(fault, logger()) }
    }
}

/// What came of a burst.
struct PassResult {
    /// Packets taken.
    var count = 0
    var senderFault: QueueViolation?
    var receiverFault: QueueViolation?
}

extension DeviceQueue where Self: ~Copyable {
    @inline(__always)
    mutating func pass<Target: DeviceQueue & ~Copyable>(
        to target: inout Target?, _ sender: inout NetEngine, _ memory: inout GuestMemory,
        _ receiver: inout NetEngine, _ receiverMemory: inout GuestMemory
    ) -> PassResult {
        var result = PassResult()
        do throws(QueueViolation) {
            while result.count < NetScratch.burst {
                guard let chain = try next(&memory, &sender.scratch.source) else { break }
                result.count &+= 1
                if let (header, bytes) = sender.shape.takeHeader(
                    sender.scratch.source.readable, &sender.counters)
                {
                    let offset = sender.shape.headerBytes
                    sender.capture?.record(
                        sender.scratch.source.readable, from: offset, .outOfGuest,
                        at: sender.port)
                    guard receiver.net.receives(sender.scratch.source.readable, at: offset)
                    else {
                        receiver.counters.dropped &+= 1
                        complete(chain, written: 0)
                        continue
                    }
                    do throws(QueueViolation) {
                        let isPlain = header.flags == 0 && header.segmentation == 0
                        let isDelivered =
                            isPlain
                            ? try target?.put(
                                sender.scratch.source.readable, offset, bytes, nil,
                                receiver.shape, &receiver.counters, &receiverMemory,
                                &sender.scratch.target, &sender.scratch.copies,
                                isFirst: result.count == 1) ?? false
                            : false
                        if !isDelivered {
                            try target?.putOtherwise(
                                header, offset, bytes, from: sender.net.guestGives, &receiver,
                                &receiverMemory, &sender.scratch)
                        } else {
                            receiver.capture?.record(
                                sender.scratch.source.readable, from: offset, .intoGuest,
                                at: receiver.port)
                        }
                    } catch { result.receiverFault = error }
                }
                complete(chain, written: 0)
            }
        } catch { result.senderFault = error }
        sender.scratch.copies.make()
        return result
    }

    @inline(__always)
    mutating func discard(
        copies: Bool, _ engine: inout NetEngine, _ memory: inout GuestMemory
    ) -> PassResult {
        var result = PassResult()
        do throws(QueueViolation) {
            while result.count < NetScratch.burst {
                guard let chain = try next(&memory, &engine.scratch.source) else { break }
                result.count &+= 1
                let packet = engine.shape.takeHeader(
                    engine.scratch.source.readable, &engine.counters)
                if let (_, bytes) = packet {
                    let offset = engine.shape.headerBytes
                    engine.capture?.record(
                        engine.scratch.source.readable, from: offset, .outOfGuest,
                        at: engine.port)
                    if copies { engine.scratch.keep(from: offset, count: bytes) }
                }
                complete(chain, written: 0)
            }
        } catch { result.senderFault = error }
        return result
    }

    @inline(__always)
    mutating func generate(
        _ bytes: Int, _ engine: inout NetEngine, _ memory: inout GuestMemory
    ) -> PassResult {
        var result = PassResult()
        // A broadcast of zeroes from nobody: whatever looks at it lets it be.
        if engine.scratch.finished.byteCount != bytes {
            engine.scratch.finished.removeAll()
            _ = engine.scratch.finished.append(engine.scratch.finisher.memory, count: bytes)
        }
        do throws(QueueViolation) {
            while result.count < NetScratch.burst, hasAvailable() {
                let isPut = try put(
                    engine.scratch.finished, 0, bytes, nil, engine.shape, &engine.counters,
                    &memory, &engine.scratch.target, &engine.scratch.copies,
                    isFirst: result.count == 0)
                if !isPut, let chain = try next(&memory, &engine.scratch.target) {
                    // Too short for any packet of these: it would be in the way for ever.
                    engine.counters.dropped &+= 1
                    complete(chain, written: 0)
                }
                result.count &+= 1
            }
        } catch { result.senderFault = error }
        engine.scratch.copies.make()
        return result
    }

    /// Puts a packet that needs one chain, and has nothing in its header, into one: the header, then
    /// `count` bytes of `source` from `offset` on. Returns false, and leaves the ring as it was, where
    /// there is no chain or the next one is too short.
    ///
    /// - Parameters:
    ///   - head: what the packet begins with, where that was judged.
    ///   - copies: takes the packet, to be copied there with others when all of a breath have their
    ///     places; who calls makes these copies before the ring is published.
    ///   - isFirst: the packet is copied now. It may be the only one, and on its way already while the
    ///     others are looked at.
    @inline(__always)
    mutating func put(
        _ source: borrowing IOVectors, _ offset: Int, _ count: Int, _ head: FrameHead?,
        _ shape: PacketShape, _ counters: inout QueueCounters, _ memory: inout GuestMemory,
        _ buffers: inout ChainBuffers, _ copies: inout PacketCopies, isFirst: Bool
    ) throws(QueueViolation) -> Bool {
        guard let chain = try next(&memory, &buffers) else { return false }
        let whole = shape.headerBytes &+ count
        guard buffers.writable.byteCount >= whole else {
            putBack(chain)
            return false
        }
        if isFirst
            || !copies.add(
                source, at: offset, count: count, head, to: buffers.writable,
                header: shape.headerBytes)
        {
            let (low, high) = NetHeader.plain.words
            buffers.writable.setHeader(low, high, shape.headerBytes)
            buffers.writable.copy(at: shape.headerBytes, from: source, at: offset, count: count)
            if let head {
                buffers.writable.setFrameHead(head, at: shape.headerBytes, count: count)
            }
        }
        counters.requests &+= 1
        counters.bytesWritten &+= UInt64(count)
        complete(chain, written: UInt32(truncatingIfNeeded: whole))
        return true
    }
}
