import Host
import Testing
import VirtioSpec

@testable import ringway_bench

/// A book of a disk, and memory where a block is.
private final class Page {
    let book = SurviveBook(blocks: 100, blockBytes: 4096, run: 7)
    let memory: Mapping

    init() throws { memory = try Mapping.anonymous(count: 8192) }

    /// A write to a block: what it wrote, before it is acknowledged.
    func write(_ block: UInt64) throws -> [UInt8] {
        #expect(book.claim(near: block) == block)
        book.stamp(block, memory, at: 0)
        return memory.bytes(at: 0, count: 4096)
    }

    func judge(_ block: UInt64, _ bytes: [UInt8]) -> Finding.Kind? {
        memory.write(bytes.span, at: 4096)
        return book.judge(block, memory, at: 4096, in: "here")?.kind
    }
}

@Suite struct SurviveBookTests {
    @Test func anAcknowledgedWriteIsThereAndNoOther() throws {
        let page = try Page()
        let first = try page.write(5)
        page.book.acknowledge(5)
        #expect(page.judge(5, first) == nil)
        let second = try page.write(5)
        page.book.acknowledge(5)
        #expect(page.judge(5, second) == nil)
        #expect(page.judge(5, first) == .lost)
    }

    @Test func whatIsOutMayBeThereOrNotButNotHalf() throws {
        let page = try Page()
        let old = try page.write(5)
        page.book.acknowledge(5)
        let new = try page.write(5)
        #expect(page.judge(5, old) == nil && page.judge(5, new) == nil)
        for cut in stride(from: 24, to: 4096, by: 8) {
            #expect(page.judge(5, Array(new.prefix(cut) + old.dropFirst(cut))) == .torn)
        }
        // It came back with an error: still nobody knows.
        page.book.release(5)
        #expect(page.judge(5, old) == nil && page.judge(5, new) == nil)
        #expect(page.book.claim(near: 5) == 5)
    }

    @Test func whatWasNeverWrittenThereIsForeign() throws {
        let page = try Page()
        let other = try page.write(6)
        page.book.acknowledge(6)
        let own = try page.write(5)
        page.book.acknowledge(5)
        #expect(page.judge(5, other) == .foreign)
        #expect(page.judge(5, [UInt8](repeating: 0, count: 4096)) == .foreign)
        let (far, before) = (try Mapping.anonymous(count: 4096), Page.mark(own))
        // A write that is yet to come, and one of another run.
        for tag in [before.tag + 1000, before.tag ^ 1 << 40] {
            BlockMark(sector: before.sector, tag: tag).fill(far, at: 0, count: 4096)
            #expect(page.judge(5, far.bytes(at: 0, count: 4096)) == .foreign)
        }
    }

    @Test func aBlockIsClaimedOnce() throws {
        let page = try Page()
        #expect(page.book.claim(near: 99) == 99)
        #expect(page.book.claim(near: 99) == 0)
        page.book.release(99)
        #expect(page.book.claim(near: 99) == 99)
    }

    @Test func anyByteThatIsNotAsItWasIsSeen() throws {
        let memory = try Mapping.anonymous(count: 512)
        let mark = BlockMark(sector: 3, tag: 9)
        mark.fill(memory, at: 0, count: 512)
        #expect(mark.flaw(memory, at: 0, count: 512) == nil)
        for byte in 0..<512 {
            memory.store8(memory.load8(at: byte) ^ 4, at: byte)
            #expect(mark.flaw(memory, at: 0, count: 512) != nil, "byte \(byte)")
            memory.store8(memory.load8(at: byte) ^ 4, at: byte)
        }
    }
}

extension Page {
    fileprivate static func mark(_ bytes: [UInt8]) -> BlockMark {
        func word(_ at: Int) -> UInt64 {
            (0..<8).reversed().reduce(0) { $0 << 8 | UInt64(bytes[at + $1]) }
        }
        return BlockMark(sector: word(0), tag: word(8))
    }
}

@Suite struct SurviveLedgerTests {
    private func ledger() -> SurviveLedger {
        SurviveLedger(SurviveBook(blocks: 300, blockBytes: 512, run: 1), seed: 5)
    }

    private func request(_ type: UInt32, _ block: UInt64?) -> SurviveLane.Request {
        SurviveLane.Request(type: type, block: block, sector: block ?? 0, issued: 0)
    }

    @Test func aRoundSeesEachBlockOnce() {
        let ledger = ledger()
        ledger.begin(.fill)
        var seen: [UInt64] = []
        while let (type, block) = ledger.next() {
            #expect(type == BlockRequestType.out)
            if let block { seen.append(block) }
        }
        #expect(seen == Array(0..<300) && ledger.isThrough)
        ledger.begin(.rest)
        #expect(ledger.next() == nil)
    }

    @Test func whatComesBackUndoneOrBadlyIsTold() throws {
        let ledger = ledger()
        let memory = try Mapping.anonymous(count: 512)
        func finish(_ block: UInt64?, _ status: UInt8) {
            let type = block == nil ? BlockRequestType.flush : BlockRequestType.out
            ledger.finish(
                request(type, block), status: status, after: 7_000, memory, at: 0)
        }
        finish(ledger.book.claim(near: 4), 0)
        finish(nil, 0)
        #expect(ledger.counts.isEmpty && ledger.acknowledged == 1)
        finish(ledger.book.claim(near: 4), SurviveLane.untouched)
        finish(nil, 1)
        #expect(ledger.counts == [.duplicated: 1, .failed: 1])
        #expect(ledger.acknowledged == 1 && ledger.longest == 7_000)
    }
}
