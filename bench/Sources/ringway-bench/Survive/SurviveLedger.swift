import Host
import VirtioSpec

/// What all queues have in common: what is to be done, what is known, and what was found.
final class SurviveLedger {
    enum Job {
        /// Nothing new.
        case rest
        /// Each block is written once; or read once.
        case fill, check
        /// Writes, reads and flushes, anywhere.
        case load
    }

    let book: SurviveBook
    private(set) var job = Job.rest
    private var cursor: UInt64 = 0
    private var random: QuickRandom
    private(set) var acknowledged: UInt64 = 0
    private(set) var checked: UInt64 = 0
    private(set) var longest: UInt64 = 0
    private(set) var counts: [Finding.Kind: Int] = [:]
    /// The first few in words.
    private(set) var texts: [String] = []

    init(_ book: SurviveBook, seed: UInt64) {
        self.book = book
        random = QuickRandom(seed: seed)
    }

    func begin(_ job: Job) {
        self.job = job
        cursor = 0
    }

    /// Whether a fill or a check has been round, but for what is still out.
    var isThrough: Bool { cursor == book.blocks }

    /// The next request: its type, and its block where it has one. Nil where nothing is to be done, or
    /// can be now.
    func next() -> (type: UInt32, block: UInt64?)? {
        switch job {
        case .rest: return nil
        case .fill, .check:
            guard !isThrough, let block = book.claim(near: cursor) else { return nil }
            cursor += 1
            return (job == .fill ? BlockRequestType.out : BlockRequestType.in, block)
        case .load:
            let dice = random.below(64)
            if dice == 0 { return (BlockRequestType.flush, nil) }
            guard let block = book.claim(near: random.below(book.blocks)) else { return nil }
            return (dice < 16 ? BlockRequestType.in : BlockRequestType.out, block)
        }
    }

    /// A request came back after so many nanoseconds: judges it, and what it has read.
    func finish(
        _ request: SurviveLane.Request, status: UInt8, after nanoseconds: UInt64,
        _ memory: Mapping, at offset: Int
    ) {
        longest = max(longest, nanoseconds)
        guard status == BlockStatus.ok.rawValue else {
            note(
                status == SurviveLane.untouched
                    ? Finding(.duplicated, "\(request) came back and was not done")
                    : Finding(.failed, "\(request) came back with status \(status)"))
            if let block = request.block { book.release(block) }
            return
        }
        guard let block = request.block else { return }
        if request.type == BlockRequestType.out {
            acknowledged += 1
            book.acknowledge(block)
        } else {
            judge(block, memory, at: offset, in: "the device")
            book.release(block)
        }
    }

    func judge(_ block: UInt64, _ memory: Mapping, at offset: Int, in source: String) {
        checked += 1
        if let finding = book.judge(block, memory, at: offset, in: source) { note(finding) }
    }

    func note(_ finding: Finding) {
        counts[finding.kind, default: 0] += 1
        if texts.count < 10 { texts.append("\(finding.kind.rawValue): \(finding.text)") }
    }
}
