import ArgumentParser
import Host

@main
struct RingwayBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ringway-bench",
        abstract: "Measures vhost-user back-ends, and Ringway's own ring engine.",
        subcommands: [
            BlkCommand.self, NetCommand.self, SurviveCommand.self, RingCommand.self, Compare.self,
            RingCount.self, HotPathLoad.self, HotPathNetLoad.self,
        ])

    static func main() {
        do {
            var command = try Self.parseAsRoot()
            try command.run()
        } catch {
            let code = Self.exitCode(for: error)
            let text = Self.message(for: error)
            guard code != .success, !text.isEmpty else { Self.exit(withError: error) }
            // One line, whatever went wrong.
            let line = text.split(separator: "\n").joined(separator: " ")
            StandardError.write("ringway-bench: \(line)\n")
            Self.exit(withError: ExitCode.failure)
        }
    }
}
