import ArgumentParser

struct CompareCost: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cost", abstract: "What ringway-blk costs, idle and as work grows.")
    @OptionGroup var options: CompareOptions
    func run() throws {}
}
