import Host
import VirtioNet

/// A finisher and what came out of it.
final class FinisherBench {
    private var finisher: Finisher

    struct Output: Equatable {
        var header: NetHeader
        var bytes: [UInt8]
    }

    init() throws { finisher = try Finisher() }

    /// What a receiver that takes `receiver` gets of a packet; nil where the packet is refused.
    func finish(
        _ bytes: [UInt8], _ header: NetHeader, for receiver: NetOffloads
    ) -> [Output]? {
        finisher.memory.write(bytes.span, at: 0)
        let isTaken = finisher.begin(header, count: bytes.count, for: receiver)
        var output: [Output] = []
        while let piece = finisher.next() {
            output.append(
                Output(
                    header: piece.header,
                    bytes: finisher.memory.bytes(at: piece.offset, count: piece.count)))
        }
        return isTaken ? output : nil
    }

    func finish(_ recipe: PacketRecipe, for receiver: NetOffloads) -> [Output]? {
        finish(recipe.bytes(), recipe.header, for: receiver)
    }
}

extension PacketRecipe {
    /// What a receiver that takes nothing unfinished is to get.
    var finished: [FinisherBench.Output] {
        segments.map { FinisherBench.Output(header: .plain, bytes: $0.bytes(.finished)) }
    }

    /// What a receiver that takes unfinished checksums alone is to get.
    var cut: [FinisherBench.Output] {
        segments.map { FinisherBench.Output(header: $0.header, bytes: $0.bytes(.begun)) }
    }
}
