import ArgumentParser
import Host
import VirtioSpec

extension NetCommand {
    /// The numbers of the command line, judged.
    func plan() throws -> NetPlan {
        guard (UInt64(NetPacket.leastBytes)...65_536).contains(frame.bytes) else {
            throw ValidationError("--frame \(frame.text): 64 to 64k")
        }
        let frameBytes = Int(frame.bytes)
        guard (1...64).contains(queuePairs) else {
            throw ValidationError("--queue-pairs \(queuePairs): 1 to 64")
        }
        guard (1...1024).contains(burst) else {
            throw ValidationError("--burst \(burst): 1 to 1024")
        }
        if let cut, !(16...65_536).contains(cut.bytes) {
            throw ValidationError("--cut \(cut.text): 16 to 64k")
        }
        if let inflight, !(inflight > 0 && mode.returns) {
            throw ValidationError("--inflight \(inflight): 1 or more, and in loop and switch only")
        }
        if let rate, !(rate > 0 && rate <= 1e9) {
            throw ValidationError("--rate \(rate): more than 0")
        }
        guard mode != .rx || rate == nil else {
            throw ValidationError("--rate \(rate ?? 0): nothing is sent in rx")
        }
        guard !verify || mode.returns else {
            throw ValidationError("--verify: in loop and switch only")
        }
        guard (peerSocket != nil) == (mode == .across) else {
            throw ValidationError("--peer-socket: where --mode switch sends to, and there only")
        }
        guard mode != .across || queuePairs == 1 else {
            throw ValidationError("--queue-pairs \(queuePairs): 1 in switch")
        }
        try checkForDriver()
        var plan = NetPlan(
            driving: driver, mode: mode, frameBytes: frameBytes, pairs: queuePairs, queueSize: 1024,
            isPacked: packed, wantsMergeable: !noMrg, isIndirect: indirect,
            cutBytes: cut.map { Int($0.bytes) }, burst: burst, inFlight: inflight, rate: rate,
            interrupts: interrupts, isVerified: verify, source: source, destination: destination,
            hugePages: load.hugePages, seconds: load.seconds, warmup: load.warmup,
            cpus: try load.processors())
        plan.queueSize = plan.isSegmented ? 256 : 1024
        if let queueSize {
            let entries = plan.cuts(headerBytes: NetLayout.headerBytes).count + 1
            plan.queueSize = try checkedRingSize(
                queueSize, entries: indirect ? 1 : entries, isPacked: packed,
                load: "a packet of \(entries) buffers")
        }
        return plan
    }

    /// What testpmd can't be told is refused.
    private func checkForDriver() throws {
        guard driver == .testpmd else { return }
        let others: [(String, Bool)] = [
            ("--mode switch", mode == .across), ("--queue-pairs", queuePairs != 1),
            ("--indirect", indirect), ("--cut", cut != nil), ("--queue-size", queueSize != nil),
            ("--burst", burst != Testpmd.burst), ("--inflight", inflight != nil),
            ("--rate", rate != nil), ("--interrupts", interrupts), ("--verify", verify),
        ]
        if let (option, _) = others.first(where: \.1) {
            throw ValidationError("\(option): not with --driver testpmd")
        }
        guard frame.bytes <= Testpmd.mostBytes else {
            throw ValidationError(
                "--frame \(frame.text): \(Testpmd.mostBytes) at most with --driver testpmd")
        }
    }
}
