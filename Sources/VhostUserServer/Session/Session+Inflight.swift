import GuestMemory
import Host
import Logging
import VhostUserProtocol
import VirtioSpec
import Virtqueue

/// Messages about the buffer in which requests in flight outlive this process.
extension Session {
    /// Makes a buffer, zeroes throughout, which the front-end keeps.
    func getInflight(_ wanted: InflightDescription) throws(Refusal) -> Reply {
        guard wanted.queueCount > 0, Int(wanted.queueCount) <= device.queueCount,
            wanted.queueSize > 0, UInt32(wanted.queueSize) <= device.largestQueue
        else { throw .inflightSize(queues: wanted.queueCount, entries: wanted.queueSize) }
        let bytes = InflightBuffer.bytes(
            queueCount: wanted.queueCount, queueSize: wanted.queueSize)
        // Whole pages: what is mapped of a file is no less.
        let whole = (bytes + 4095) / 4096 * 4096
        do throws(SystemError) {
            let memory = try SharedMemory(count: whole, name: "inflight", sealed: true)
            attachment = try memory.descriptor.duplicate()
        } catch { throw .inflight(.system(error)) }
        return .inflight(
            InflightDescription(
                byteCount: UInt64(whole), offset: 0, queueCount: wanted.queueCount,
                queueSize: wanted.queueSize))
    }

    /// Takes a buffer, ours or one that an earlier back-end made. It is read when a ring starts.
    func setInflight(
        _ told: InflightDescription, _ descriptors: inout ReceivedFDs
    ) throws(Refusal) {
        if let running = vrings.first(where: { $0.isRunning }) { throw .ringRuns(running.index) }
        guard let file = descriptors.take(0) else { throw .descriptorMissing }
        do throws(InflightFault) {
            inflight = try InflightBuffer(
                file, offset: told.offset, byteCount: told.byteCount,
                queueCount: told.queueCount, queueSize: told.queueSize)
        } catch { throw .inflight(error) }
    }

    /// Says once, when the first ring starts, what becomes of requests if we die.
    func sayInflight() {
        guard !hasSaidInflight, device.protocolFeatures.contains(.inflight) else { return }
        hasSaidInflight = true
        logger.info(
            inflight == nil
                ? "the front-end keeps no requests in flight: they end with this process"
                : "the front-end keeps the requests in flight for the next process")
    }

    /// Where a ring of `size` entries records what is in flight, and what was left there.
    func inflight(_ vring: Vring, size: UInt16) throws(Refusal) -> RingInflight {
        guard let inflight else { return .none }
        do throws(InflightFault) {
            guard negotiated.features.contains(.packedRing) else {
                let memory = try inflight.split(vring.index, size: size)
                return .split(try SplitInflight(memory, isNew: vring.isRenewed), inflight.memory)
            }
            let memory = try inflight.packed(vring.index, size: size)
            return .packed(
                try PackedInflight(memory, size: size, isNew: vring.isRenewed), inflight.memory)
        } catch {
            // It is to be started anew, with another buffer.
            vring.isStarted = false
            throw .inflight(error)
        }
    }
}
