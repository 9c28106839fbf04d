import Host
import VhostUserFrontend
import VirtioSpec

/// One queue of a driver that outlives its back-ends. Like a guest's it sleeps until it is called: a
/// call that does not come leaves its requests hanging.
final class SurviveLane {
    struct Request: CustomStringConvertible {
        let type: UInt32
        let block: UInt64?
        let sector: UInt64
        let issued: UInt64

        var description: String {
            switch type {
            case BlockRequestType.in: "reading sector \(sector)"
            case BlockRequestType.out: "writing sector \(sector)"
            default: "a flush"
            }
        }
    }

    static let untouched = BlockDriver.untouchedStatus

    let queue: DriverQueue
    private let number: Int
    private let stream: BlockStream
    private let ledger: SurviveLedger
    private var idle: [Int]
    private var requests: [Request?]
    /// Waits for the call, and looks at nothing before.
    private(set) var isAsleep = false

    init(_ driver: BlockDriver, _ number: Int, _ ledger: SurviveLedger, depth: Int) {
        self.number = number
        self.ledger = ledger
        stream = BlockStream(
            driver, queue: number, slots: depth, bytesPerSlot: ledger.book.blockBytes)
        queue = stream.queue
        idle = Array((0..<depth).reversed())
        requests = Array(repeating: nil, count: depth)
    }

    /// Takes back what is finished and offers anew.
    func turn() throws(FrontendError) {
        if isAsleep, queue.call.drain() {
            isAsleep = false
            queue.suppressCalls()
        }
        var count = isAsleep ? 0 : try reap()
        count += try offer()
        if count == 0, !isAsleep { isAsleep = !queue.armCall() }
    }

    private func reap() throws(FrontendError) -> Int {
        var count = 0
        while let (slot, status) = try stream.reap() {
            guard let request = requests[slot] else {
                throw .device("a request came back twice")
            }
            requests[slot] = nil
            idle.append(slot)
            count += 1
            ledger.finish(
                request, status: status, after: Clock.nanoseconds() - request.issued,
                stream.memory, at: stream.offset(slot))
        }
        return count
    }

    private func offer() throws(FrontendError) -> Int {
        var count = 0
        while let slot = idle.last, let (type, block) = ledger.next() {
            let request = Request(
                type: type, block: block, sector: block.map(ledger.book.sector) ?? 0,
                issued: Clock.nanoseconds())
            prepare(request, slot)
            guard stream.offer(type, sector: request.sector, slot: slot) else {
                throw .device("the ring is full with \(queue.inFlight) requests")
            }
            idle.removeLast()
            requests[slot] = request
            count += 1
        }
        if count > 0 { queue.submit() }
        return count
    }

    private func prepare(_ request: Request, _ slot: Int) {
        guard let block = request.block else { return }
        let offset = stream.offset(slot)
        if request.type == BlockRequestType.out {
            ledger.book.stamp(block, stream.memory, at: offset)
        } else {
            // What an earlier read left here must not pass for what this one was to bring.
            stream.memory.fill(0xaa, at: offset, count: stream.bytesPerSlot)
        }
    }

    /// What was out before `time` and still is, in words.
    func hanging(since time: UInt64) -> [Finding] {
        let isThere = queue.armCall()
        return requests.compactMap { $0 }.filter { $0.issued < time }.map {
            let why = isThere ? "; there is something in the used ring, and no call came" : ""
            return Finding(.hung, "queue \(number): \($0) has not come back\(why)")
        }
    }
}
