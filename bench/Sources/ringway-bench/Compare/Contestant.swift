/// What is compared: a load, and how many times the best peer's rate is wanted.
protocol ComparedLine {
    var name: String { get }
    var title: String { get }
    /// Ours by the best peer's; nil where nothing is asked.
    var target: Double? { get }
    /// What the two sides do for it, where the name does not say that; nil where it does.
    var remark: String? { get }
}

extension ComparedLine {
    var remark: String? { nil }
}

/// A back-end in one configuration: ours or a peer's.
protocol Contestant {
    associatedtype Line: ComparedLine

    var isOurs: Bool { get }
    /// Whether this configuration exists for the line, and differs from all others there.
    func serves(_ line: Line) -> Bool
    /// As tables and `--peers` name it.
    func name(on line: Line) -> String
    /// The command line that serves at the socket what the line needs.
    func words(on line: Line, socket: String) -> [String]
    /// The command lines before it, of what it needs.
    func preparation(on line: Line, socket: String) -> [[String]]
    /// Measures one window, with a back-end of its own.
    func window(
        _ line: Line, on stand: TestStand, round: Int, seconds: Double?
    ) throws -> Window
    /// Programs by name, and which they are.
    static func versions(_ contestants: [Self]) -> [(String, String)]
}

extension Contestant {
    func preparation(on line: Line, socket: String) -> [[String]] { [] }
}
