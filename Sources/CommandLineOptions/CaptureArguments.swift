import ArgumentParser
import NetPorts

/// Where packets are recorded.
public struct CaptureArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            Record what crosses each network card in this file, as pcapng; it slows every packet \
            down.
            """,
            valueName: "file"))
    public var pcap: String?

    @Option(help: ArgumentHelp("MiB that the file may have at most.", valueName: "n"))
    public var pcapLimit: UInt64 = 1024

    public init() {}

    public func validate() throws {
        guard (1...1 << 30).contains(pcapLimit) else {
            throw ValidationError("--pcap-limit \(pcapLimit): 1 MiB at least")
        }
    }

    /// Makes the file, or empties it; nil where nothing is to be recorded. A start had better not fail
    /// after that.
    /// - Parameter interfaces: what the cards are called, where there are several.
    public func capture(interfaces: [String]? = nil) throws -> Capture? {
        guard let pcap else { return nil }
        return try Capture(path: pcap, limit: pcapLimit << 20, interfaces: interfaces)
    }
}
