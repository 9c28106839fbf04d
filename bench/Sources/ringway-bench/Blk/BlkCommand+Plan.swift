import ArgumentParser
import Host

extension BlkCommand {
    /// The numbers of the command line, judged.
    func plan() throws -> BlkPlan {
        guard bs.bytes > 0, bs.bytes % 512 == 0, bs.bytes <= 64 << 20 else {
            throw ValidationError("--bs \(bs.text): a multiple of 512, at most 64M")
        }
        guard (1...32_768).contains(qd) else { throw ValidationError("--qd \(qd): 1 to 32768") }
        guard (1...256).contains(queues), (0...255).contains(idleQueues),
            queues + idleQueues <= 256
        else { throw ValidationError("--queues and --idle-queues: 1 to 256 together") }
        if let rate, !(rate > 0 && rate <= 1e9) {
            throw ValidationError("--rate \(rate): more than 0")
        }
        if let mixed, !(0...100).contains(mixed) {
            throw ValidationError("--mixed \(mixed): 0 to 100")
        }
        if let size, size.bytes < bs.bytes {
            throw ValidationError("--size \(size.text): smaller than a block of \(bs.text)")
        }
        return BlkPlan(
            pattern: rw, readPercent: mixed ?? (rw.isRead ? 100 : 0), blockBytes: Int(bs.bytes),
            depth: qd, queues: queues, idleQueues: idleQueues, queueSize: try ringSize(),
            isPacked: packed, isIndirect: indirect, hugePages: load.hugePages,
            seconds: load.seconds, warmup: load.warmup, rate: rate, interrupts: interrupts,
            isVerified: verify, cpus: try load.processors(), limit: size?.bytes)
    }

    private func ringSize() throws -> UInt16 {
        let entries = BlkPlan.entries(depth: qd, isIndirect: indirect)
        if let queueSize {
            return try checkedRingSize(
                queueSize, entries: entries, isPacked: packed, load: "--qd \(qd)")
        }
        var size = 128
        while size < entries { size *= 2 }
        // More than most back-ends take, unless it is asked for.
        guard size <= 1024 else {
            throw ValidationError(
                "--qd \(qd): \(entries) ring entries; give "
                    + (indirect ? "" : "--indirect, or ") + "--queue-size \(size)")
        }
        return UInt16(size)
    }
}
