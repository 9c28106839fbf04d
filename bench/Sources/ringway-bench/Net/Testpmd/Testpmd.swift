import Foundation
import Host

/// DPDK's testpmd as a driver, by a virtio-user device of its own: told at its prompt what to do.
final class Testpmd {
    static let program = "dpdk-testpmd"
    /// The Debian package that brings it.
    static let package = "dpdk-dev"
    /// Packets that it moves at a time.
    static let burst = 32
    /// Bytes of the largest packet that one of its buffers holds.
    static let mostBytes = 1518

    private let child: Child
    private let input = Pipe()
    private let output = Pipe()
    private static let statistics = "show port stats 0"
    private static let prompt = Data("testpmd> ".utf8)

    /// Starts it, and waits for the prompt: then it is connected to the back-end.
    init(_ plan: NetPlan, socket: String) throws {
        guard Tool.find(Self.program) != nil else {
            throw BenchError("\(Self.program) is not installed (Debian package \(Self.package))")
        }
        let said = "/proc/self/fd/\(output.fileHandleForWriting.fileDescriptor)"
        child = try Child(
            Self.words(plan, socket: socket), cpu: plan.cpus.first.map { Int($0) },
            input: "/proc/self/fd/\(input.fileHandleForReading.fileDescriptor)", output: said,
            errors: said)
        // Its end is to be seen: it alone may keep this open.
        try? output.fileHandleForWriting.close()
        do {
            _ = try answer(atMost: 40)
            guard try TestpmdCounts(ask(Self.statistics)) != nil else {
                throw BenchError("\(socket): no device is found; is a back-end listening there?")
            }
        } catch {
            end()
            throw error
        }
    }

    func end() { child.kill() }

    /// What it is started by. One thread moves packets, and another one listens.
    static func words(_ plan: NetPlan, socket: String) -> [String] {
        let cpu = plan.cpus.first ?? 0
        let device =
            "net_virtio_user0,path=\(socket),queues=1,queue_size=\(plan.queueSize)"
            + ",packed_vq=\(plan.isPacked ? 1 : 0),mrg_rxbuf=\(plan.wantsMergeable ? 1 : 0)"
            + ",vectorized=0"
        // Output by the word, or prompts would come before what they follow.
        var words = ["stdbuf", "--output=0", program, "--lcores=0@\(cpu),1@\(cpu)", "--no-pci"]
        words += ["-m", "256", "--no-telemetry"]
        words += plan.hugePages ? ["--in-memory", "--single-file-segments"] : []
        words += plan.hugePages ? [] : ["--no-huge", "--no-shconf"]
        words += ["--vdev", device, "--", "--interactive", "--no-mlockall", "--no-flush-rx"]
        words += ["--port-topology=loop", "--total-num-mbufs=20000", "--burst=\(burst)"]
        return words + ["--rxd=\(plan.queueSize)", "--txd=\(plan.queueSize)"]
    }

    /// Gives a command, and returns what it says to that.
    @discardableResult
    func ask(_ command: String) throws -> String {
        try input.fileHandleForWriting.write(contentsOf: Data("\(command)\n".utf8))
        return try answer(atMost: 20)
    }

    func counts() throws -> TestpmdCounts {
        let said = try ask(Self.statistics)
        guard let counts = TestpmdCounts(said) else {
            throw BenchError("\(Self.program) does not tell its counts: \(said)")
        }
        return counts
    }

    /// What it says until it asks for a command again.
    private func answer(atMost seconds: Double) throws -> String {
        let file = output.fileHandleForReading
        let deadline = Clock.nanoseconds() + UInt64(seconds * 1e9)
        var said = Data()
        while said.suffix(Self.prompt.count) != Self.prompt {
            var set = PollSet()
            set.add(file.fileDescriptor)
            let now = Clock.nanoseconds()
            guard now < deadline else {
                throw BenchError("\(Self.program) has said nothing for \(Int(seconds)) s")
            }
            guard set.wait(nanoseconds: deadline - now) > 0 else { continue }
            let piece = file.availableData
            guard !piece.isEmpty else {
                let lines = String(decoding: said, as: UTF8.self).split(whereSeparator: \.isNewline)
                let reason = lines.suffix(2).joined(separator: "; ")
                throw BenchError("\(Self.program) has ended: \(reason)")
            }
            said += piece
        }
        return String(decoding: said, as: UTF8.self)
    }
}

/// What testpmd has counted on a port.
struct TestpmdCounts: Equatable {
    let received: UInt64
    let sent: UInt64
    /// Everything that it counts and that should not be.
    let errors: UInt64

    /// Nil where `text`, its `show port stats`, has not all of it.
    init?(_ text: String) {
        var numbers: [Substring: UInt64] = [:]
        let words = text.split(whereSeparator: \.isWhitespace)
        for (name, number) in zip(words, words.dropFirst()) where name.hasSuffix(":") {
            numbers[name.dropLast()] = UInt64(number)
        }
        let names = ["RX-missed", "RX-errors", "RX-nombuf", "TX-errors"]
        let faults = names.compactMap { numbers[$0[...]] }
        guard let received = numbers["RX-packets"], let sent = numbers["TX-packets"],
            faults.count == names.count
        else { return nil }
        self.received = received
        self.sent = sent
        errors = faults.reduce(0, +)
    }
}
