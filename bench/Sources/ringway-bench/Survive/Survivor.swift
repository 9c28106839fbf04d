import Foundation
import Host
import VhostUserFrontend

/// A driver under load, from one back-end to the next.
final class Survivor {
    private let path: String
    private let file: String?
    private let patience: UInt64
    private let driver: BlockDriver
    private let ledger: SurviveLedger
    private let lanes: [SurviveLane]
    private var set = PollSet()
    /// What the input has said, up to a line's end.
    private var input = ""
    private var wantsEnd = false
    private var wantsCheck = false

    private var losses = 0
    private var outage: UInt64 = 0
    private var longestOutage: UInt64 = 0
    /// When the back-end that serves now began to.
    private var begun = Clock.nanoseconds()
    private var nextLook: UInt64 = 0

    init(_ command: SurviveCommand) throws {
        path = command.socketPath
        file = command.file
        patience = UInt64(command.patience * 1e9)
        var options = BlockDriver.Options()
        options.queues = command.queues
        let entries = command.depth * (command.indirect ? 1 : 3)
        while options.queueSize < entries { options.queueSize *= 2 }
        options.packed = command.packed
        options.indirect = command.indirect
        options.keepsInflight = !command.noInflight
        options.arenaBytes = 4096
        let block = Int(command.bs.bytes)
        let each =
            BenchMemory.ringBytes(size: Int(options.queueSize), tables: command.indirect)
            + command.depth * (64 + block) + 2 * 4096
        let ram = try BenchMemory.make(
            bytes: BenchMemory.rounded(command.queues * each + (64 << 10)), hugePages: false)
        driver = try BlockDriver(BenchMemory.connect(path), ram, options)
        let disk = try driver.configuration()
        guard block % max(512, Int(disk.blockSize)) == 0 else {
            throw BenchError("--bs \(block): the disk's blocks have \(disk.blockSize) bytes")
        }
        let blocks = min(disk.capacitySectors * 512, command.size.bytes) / UInt64(block)
        guard blocks > UInt64(command.queues * command.depth) else {
            throw BenchError("the disk has too few blocks of \(block) bytes: \(blocks)")
        }
        let run = UInt32(truncatingIfNeeded: Clock.nanoseconds() >> 10)
        ledger = SurviveLedger(
            SurviveBook(blocks: blocks, blockBytes: block, run: run), seed: command.seed)
        lanes = (0..<command.queues).map { [driver, ledger] in
            SurviveLane(driver, $0, ledger, depth: command.depth)
        }
        driver.connection.deadline = Int32(clamping: patience / 1_000_000)
        watch()
    }

    /// Until the input ends, or there is something to report. Whether there was nothing.
    func run() throws -> Bool {
        // A device that breaks the ring is a finding, and the end.
        do { try serve() } catch FrontendError.device(let text) {
            ledger.note(Finding(.duplicated, text))
        }
        try news(.end).tell()
        return ledger.counts.isEmpty
    }

    private func serve() throws {
        ledger.begin(.fill)
        while true {
            for lane in lanes { try lane.turn() }
            let now = Clock.nanoseconds()
            if now >= nextLook || lanes.allSatisfy(\.isAsleep) { try look(now) }
            if wantsEnd { return }
            guard lanes.allSatisfy({ $0.queue.inFlight == 0 }), try goOn() else { continue }
            return
        }
    }

    /// Sleeps as long as nothing calls, and sees to all that is not a ring's.
    private func look(_ now: UInt64) throws {
        nextLook = now + 1_000_000
        let isIdle = lanes.allSatisfy(\.isAsleep)
        _ = set.wait(nanoseconds: isIdle ? 100_000_000 : 0)
        if set.isReady(0) { read() }
        if set.isReady(1) { return try reconnect() }
        let since = Clock.nanoseconds()
        guard since - begun > patience else { return }
        for finding in lanes.flatMap({ $0.hanging(since: since - patience) }) {
            ledger.note(finding)
            wantsEnd = true
        }
    }

    /// Nothing is out: what comes next? True where it is the end.
    private func goOn() throws -> Bool {
        switch ledger.job {
        case .fill where ledger.isThrough:
            try news(.ready).tell()
            ledger.begin(wantsCheck ? .rest : .load)
        case .rest: ledger.begin(.check)
        case .check where ledger.isThrough:
            if let file { try checkFile(file) }
            wantsCheck = false
            try news(.checked).tell()
            guard ledger.counts.isEmpty else { return true }
            ledger.begin(.load)
        default: break
        }
        return false
    }

    private func checkFile(_ path: String) throws {
        let (book, piece) = (ledger.book, 256)
        let file = try File.open(path, [])
        let memory = try Mapping.anonymous(count: piece * book.blockBytes)
        for first in stride(from: 0, to: book.blocks, by: piece) {
            let some = Int(min(UInt64(piece), book.blocks - first))
            let offset = first * UInt64(book.blockBytes)
            let count = some * book.blockBytes
            guard try File.read(file, at: offset, into: memory, at: 0, count: count) == count
            else { throw BenchError("\(path) is shorter than the disk") }
            for place in 0..<some {
                ledger.judge(
                    first + UInt64(place), memory, at: place * book.blockBytes, in: "the file")
            }
        }
    }

    // The input.

    private func read() {
        let bytes = FileHandle.standardInput.availableData
        if bytes.isEmpty { wantsEnd = true }
        input += String(decoding: bytes, as: UTF8.self)
        while let end = input.firstIndex(of: "\n") {
            switch input[..<end] {
            case "check": wantsCheck = true
            case "end": wantsEnd = true
            default: StandardError.write("ringway-bench: the input knows check and end only\n")
            }
            input = String(input[input.index(after: end)...])
        }
        if wantsCheck, ledger.job == .load { ledger.begin(.rest) }
    }

    // The back-end.

    private func watch() {
        set = PollSet()
        set.add(0)
        set.add(driver.connection.descriptor)
        for lane in lanes { set.add(lane.queue.call.descriptor.raw) }
    }

    /// The back-end is gone: finds the next one.
    private func reconnect() throws {
        let gone = Clock.nanoseconds()
        losses += 1
        while true {
            do throws(FrontendError) {
                let connection = try FrontendConnection(path: path)
                connection.deadline = driver.connection.deadline
                try driver.reconnect(connection)
                break
            } catch {
                switch error {
                case .disconnected, .system: break
                default: throw error
                }
                guard Clock.nanoseconds() - gone < patience else {
                    throw BenchError("\(path): no back-end has come back: \(error)")
                }
                var nothing = PollSet()
                _ = nothing.wait(nanoseconds: 1_000_000)
            }
        }
        begun = Clock.nanoseconds()
        outage = begun - gone
        longestOutage = max(longestOutage, outage)
        watch()
        try news(.back).tell()
    }

    private func news(_ event: SurviveNews.Event) -> SurviveNews {
        func milliseconds(_ nanoseconds: UInt64) -> Double {
            (Double(nanoseconds) / 1e6).rounded(digits: 2)
        }
        func count(_ kind: Finding.Kind) -> Int { ledger.counts[kind, default: 0] }
        return SurviveNews(
            event: event, acknowledged: ledger.acknowledged, blocksChecked: ledger.checked,
            losses: losses, longestMs: milliseconds(ledger.longest),
            outageMs: milliseconds(outage), longestOutageMs: milliseconds(longestOutage),
            tracksInflight: driver.inflight != nil, lost: count(.lost), torn: count(.torn),
            foreign: count(.foreign), duplicated: count(.duplicated), hung: count(.hung),
            failed: count(.failed), findings: ledger.texts)
    }
}
