import Foundation

/// Says on standard error how far a comparison is, and about how long it still takes.
final class CompareProgress {
    private var total: Int
    private var done = 0
    private let secondsExpected: Double
    private let start = Date()

    /// - Parameter secondsExpected: of one step, before any has been seen.
    init(total: Int, secondsExpected: Double) {
        self.total = total
        self.secondsExpected = secondsExpected
    }

    /// Says that `count` steps more, or fewer, are to come.
    func expect(_ count: Int) { total = max(done, total + count) }

    func step(_ text: String) {
        done += 1
        total = max(total, done)
        let passed = Date().timeIntervalSince(start)
        // The first steps say little yet.
        let each = (passed + secondsExpected * 3) / Double(done + 3)
        let left = Int(each * Double(total - done))
        let time = left < 90 ? "\(left) s" : "\((left + 30) / 60) min"
        Self.say("[\(done)/\(total), \(time) left] \(text)")
    }

    static func say(_ text: String) {
        // Who has stopped listening does not end the comparison.
        try? FileHandle.standardError.write(contentsOf: Data("compare: \(text)\n".utf8))
    }
}
