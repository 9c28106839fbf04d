import Foundation
import Host

/// A line on standard error while a run goes on: rewritten in place on a terminal, else a new one a
/// second. With JSON asked for, only a terminal sees it.
final class ProgressLine {
    private let isTerminal = isatty(2) == 1
    private let isSilent: Bool
    private var width = 0

    init(isJSON: Bool) { isSilent = isJSON && !isTerminal }

    func show(_ text: String) {
        guard !isSilent else { return }
        guard isTerminal else { return StandardError.write(text + "\n") }
        StandardError.write("\r" + text + String(repeating: " ", count: max(0, width - text.count)))
        width = text.count
    }

    /// Leaves nothing on a terminal.
    func clear() {
        guard isTerminal, !isSilent, width > 0 else { return }
        StandardError.write("\r" + String(repeating: " ", count: width) + "\r")
        width = 0
    }
}
