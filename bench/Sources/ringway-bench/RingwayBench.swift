import ArgumentParser

@main
struct RingwayBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ringway-bench",
        abstract: "Measures vhost-user back-ends, and Ringway's own ring engine.",
        subcommands: [RingCommand.self, RingCount.self, HotPathLoad.self])
}
