import GuestMemory
import Host
import Logging
import VirtioNet
import VirtioSpec
import Virtqueue

/// The control queue, where the front-end leaves it to us (virtio 1.3 §5.1.6.5).
extension RunningQueue where Engine == NetEngine {
    mutating func obey(_ logger: Logger) -> Bool {
        guard mayTake else { return false }
        let result = form.obey(&engine, &memory)
        finish(result, logger)
        return result.count > 0
    }
}

extension DeviceQueue where Self: ~Copyable {
    mutating func obey(
        _ engine: inout NetEngine, _ memory: inout GuestMemory
    ) -> PassResult {
        var result = PassResult()
        do throws(QueueViolation) {
            while result.count < NetScratch.burst,
                let chain = try next(&memory, &engine.scratch.source)
            {
                result.count += 1
                engine.counters.requests &+= 1
                guard let answer = engine.scratch.source.writable.lastByte() else {
                    engine.counters.malformed &+= 1
                    complete(chain, written: 0)
                    continue
                }
                let words = engine.scratch.source.readable.bytes(most: NetControlLimits.command)
                let verdict =
                    words.count < 2
                    ? NetControlAnswer.error
                    : engine.net.control(words[0], words[1], Array(words.dropFirst(2)))
                engine.setPort()
                if verdict == .error { engine.counters.failed &+= 1 }
                answer.store(verdict.rawValue)
                complete(chain, written: 1)
            }
        } catch { result.senderFault = error }
        return result
    }
}

enum NetControlLimits {
    /// Bytes of a command at most: a MAC table of both kinds, as large as Linux makes one.
    static let command = 16_384
}
