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
        guard seconds > 0, seconds <= 86_400, warmup >= 0, warmup <= 86_400 else {
            throw ValidationError("--seconds and --warmup: up to a day, and more than nothing")
        }
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
            isPacked: packed, isIndirect: indirect, hugePages: hugePages, seconds: seconds,
            warmup: warmup, rate: rate, interrupts: interrupts, isVerified: verify,
            cpus: try processors(), limit: size?.bytes)
    }

    private func ringSize() throws -> UInt16 {
        let entries = BlkPlan.entries(depth: qd, isIndirect: indirect)
        if let queueSize {
            guard queueSize > 0, queueSize <= 32_768, packed || queueSize.nonzeroBitCount == 1
            else {
                throw ValidationError(
                    "--queue-size \(queueSize): up to 32768, a power of two if not --packed")
            }
            guard Int(queueSize) >= entries else {
                throw ValidationError("--queue-size \(queueSize): --qd \(qd) takes \(entries)")
            }
            return queueSize
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

    private func processors() throws -> [Int32] {
        guard let cpus else {
            let first = (0..<1024 as Range<Int32>).first { Processors.mayRun(on: $0) }
            return [first ?? 0]
        }
        guard let list = CPUList(cpus)?.cpus, !list.isEmpty else {
            throw ValidationError("--cpus \(cpus): not a list of processors like 0-3,6")
        }
        if let other = list.first(where: { !Processors.mayRun(on: $0) }) {
            throw ValidationError("--cpus \(cpus): this process can't run on \(other)")
        }
        return list
    }
}
