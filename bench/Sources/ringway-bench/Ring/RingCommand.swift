import ArgumentParser
import Foundation

/// `ringway-bench ring`: the ring engine by itself, without a socket, against the same in C.
struct RingCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ring",
        abstract: "Measures the ring engine against the same algorithm in C.",
        discussion: """
            Nanoseconds and instructions of the device's side for each chain: next, complete, and a \
            publish for each batch. The driver's side is not measured. Both languages take turns, \
            and both figures are printed: the median of the rounds and the best. Instructions are \
            counted by valgrind, where it is installed; they don't depend on what else the machine \
            does.
            """)

    @Flag(help: "One JSON object instead of a table.")
    var json = false

    @Option(help: "Fail where Swift takes more instructions than C by this factor, batches of 32.")
    var gate: Double?

    @Option(help: "Rounds for the time; 0 for instructions alone.")
    var rounds = 15

    @Flag(help: "Put data into another memory region than headers: every look-up misses first.")
    var apart = false

    func validate() throws {
        guard rounds >= 0 else { throw ValidationError("rounds are 0 or more") }
        guard gate ?? 1 > 0 else { throw ValidationError("a gate is a factor above 0") }
    }

    func run() throws {
        let counts = try countInstructions()
        var lines: [RingLine] = []
        for (index, ringCase) in RingCase.all.enumerated() {
            Progress.say("measuring \(ringCase.name)")
            var line = try RingLine(ringCase, RingRounds.time(ringCase, rounds, apart: apart))
            if let counts { line.count(swift: counts[index].swift, c: counts[index].c) }
            lines.append(line)
        }
        let report = RingReport(rounds: rounds, dataIsApart: apart, lines: lines)
        print(json ? try report.json() : report.table())
        guard let gate else { return }
        let over = lines.filter { $0.batch == 32 && $0.ratio.instructions ?? .infinity > gate }
        for line in over {
            Progress.say("\(line.name): \(line.ratio.instructions ?? 0) times C's instructions")
        }
        if !over.isEmpty { throw ExitCode.failure }
    }

    private func countInstructions() throws -> [RingCounts]? {
        guard let callgrind = Callgrind() else {
            guard gate == nil else { throw ValidationError("--gate needs valgrind") }
            Progress.say("valgrind is not installed: no instructions, time alone")
            return nil
        }
        Progress.say("counting instructions under valgrind")
        return try callgrind.count(apart: apart)
    }
}

/// What happens meanwhile: for standard error.
enum Progress {
    static func say(_ text: String) {
        FileHandle.standardError.write(Data("ring: \(text)\n".utf8))
    }
}
