import ArgumentParser
import CRing

/// What valgrind runs: every case once for each language, marked where each ends.
struct RingCount: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ring-count",
        abstract: "Runs what `ring` counts the instructions of.",
        shouldDisplay: false)

    @Flag var apart = false

    /// Chains of one count: whole rounds of the ring, whatever a chain's descriptors.
    static let chains = 1024
    /// What is counted, by the functions' names in the program.
    static let functions = [
        "*SwiftSplitDeviceV7breatheSiyF", "*SwiftPackedDeviceV7breatheSiyF",
        "ring_breathe_split", "ring_breathe_packed",
    ]
    static let mark = "ring_mark"

    func run() throws {
        for ringCase in RingCase.all {
            switch ringCase.form {
            case .split:
                try count(SwiftSplitDevice.self, ringCase)
                try count(CSplitDevice.self, ringCase)
            case .packed:
                try count(SwiftPackedDevice.self, ringCase)
                try count(CPackedDevice.self, ringCase)
            }
        }
    }

    /// A first time unmeasured: the ring then lies as it does for ever after.
    private func count<Device: RingDevice & ~Copyable>(
        _ device: Device.Type, _ ringCase: RingCase
    ) throws {
        var pair = try RingPair(device, ringCase, apart: apart)
        for _ in 0..<2 {
            _ = try pair.run(batch: ringCase.batch, batches: Self.chains / ringCase.batch)
            ring_mark()
        }
    }
}

/// Instructions a chain.
struct RingCounts {
    var swift: Double
    var c: Double
}
