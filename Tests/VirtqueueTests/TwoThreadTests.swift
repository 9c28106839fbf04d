import GuestMemory
import Host
import Randomness
import Synchronization
import Testing
import VhostUserFrontend
import VirtioSpec
import Virtqueue

@Suite("Two threads that sleep whenever they may never miss each other", .serialized)
struct TwoThreadTests {
    @Test(
        "No wake-up is lost, no chain, and no byte of one",
        arguments: [(1, 40_000), (8, 100_000), (256, 200_000)] as [(UInt16, UInt64)], Way.all)
    func noLostWakeUp(ring: (size: UInt16, chains: UInt64), way: Way) throws {
        // The smaller the ring, the more often both sides sleep.
        let (size, chains) = ring
        let bench = try RingBench(
            way.form, size: size, eventIndex: way.eventIndex, inOrder: way.inOrder,
            start: startPosition)
        let news = News()
        let device = DeviceSide(
            chains: chains, map: bench.map, addresses: RingBench.addresses(bench.driver),
            size: size, way: way, kick: bench.driver.kick.descriptor.raw,
            call: bench.driver.call.descriptor.raw, news: news)
        let thread = try Thread(name: "device") { device.run() }
        var driver = DriverSide(bench.driver, chains: chains, news: news)
        driver.run()
        thread.join()
        #expect(news.troubles == [], "\(driver.random.note)")
        #expect(driver.reaped == chains)
        #expect(bench.driver.inFlight == 0)
    }
}

/// What the two sides have agreed on.
struct Way: Hashable, CustomTestStringConvertible {
    let form: Form
    let eventIndex: Bool
    var inOrder = false

    static let all = Form.allCases.flatMap { form in
        [
            Way(form: form, eventIndex: true), Way(form: form, eventIndex: false),
            Way(form: form, eventIndex: true, inOrder: true),
        ]
    }

    var features: Features {
        var features: Features = eventIndex ? .eventIndex : []
        if inOrder { features.formUnion(.inOrder) }
        return features
    }

    var testDescription: String {
        "\(form)\(eventIndex ? ", EVENT_IDX" : "")\(inOrder ? ", IN_ORDER" : "")"
    }
}

/// Just before the free-running index turns around.
private let startPosition: UInt64 = 0xff00

/// Far longer than anything takes but a wake-up that never comes.
private let deadlineMilliseconds: Int32 = 10_000

/// What went wrong on either side; the other one then gives up too.
private final class News: Sendable {
    private let list = Mutex<[String]>([])
    private let isBad = Atomic<Bool>(false)

    var troubles: [String] { list.withLock { $0 } }
    var isFine: Bool { !isBad.load(ordering: .relaxed) }

    func report(_ trouble: String, waking raw: Int32) {
        list.withLock { $0.append(trouble) }
        isBad.store(true, ordering: .relaxed)
        Notification.signal(raw)
    }
}

/// A device that takes what there is, gives it back, and sleeps until it is kicked.
private struct DeviceSide: Sendable {
    let chains: UInt64
    let map: GuestMap
    let addresses: RingAddresses
    let size: UInt16
    let way: Way
    let kick: Int32
    let call: Int32
    let news: News

    func run() {
        do {
            var queue = try DeviceRing(
                way.form, map, addresses, size: size,
                base: way.form.base(startPosition, size: size), way.features)
            var memory = GuestMemory(map)
            var buffers = ChainBuffers()
            var taken: UInt64 = 0
            while taken < chains, news.isFine {
                try take(&queue, &memory, &buffers, &taken)
                guard taken < chains, !queue.requestKicks() else {
                    queue.suppressKicks()
                    continue
                }
                guard Self.isWoken(kick) else {
                    let waiting = queue.hasAvailable() ? "a chain waits" : "no chain waits"
                    throw Trouble("the device got no kick after \(taken) chains; \(waiting)")
                }
                queue.suppressKicks()
            }
        } catch {
            news.report("\(error)", waking: call)
        }
    }

    private func take(
        _ queue: inout DeviceRing, _ memory: inout GuestMemory, _ buffers: inout ChainBuffers,
        _ taken: inout UInt64
    ) throws {
        // Half a ring at a time, so that calls come while chains are still out.
        for _ in 0..<max(1, size / 2) {
            guard let chain = try queue.next(&memory, &buffers) else { break }
            let words = buffers.writable.words(at: 0)
            let isRight = words.map { $0 == (taken, ~taken) } ?? false
            queue.complete(chain, written: UInt32(taken & 7))
            guard isRight else { throw Trouble("chain \(taken) holds \(words, default: "less")") }
            taken += 1
        }
        if queue.publish() { Notification.signal(call) }
    }

    static func isWoken(_ raw: Int32) -> Bool {
        var set = PollSet()
        set.add(raw)
        guard set.wait(milliseconds: deadlineMilliseconds) > 0 else { return false }
        _ = Notification.drain(raw)
        return true
    }
}

private struct Trouble: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A driver that keeps the ring as full as chance wants, and sleeps until it is called.
private struct DriverSide {
    let driver: DriverQueue
    let chains: UInt64
    let news: News
    private(set) var random = Seeded()
    private(set) var reaped: UInt64 = 0
    private var offered: UInt64 = 0
    private let data: UInt64
    private let memory: Mapping
    private let place: Int

    init(_ driver: DriverQueue, chains: UInt64, news: News) {
        self.driver = driver
        self.chains = chains
        self.news = news
        data = driver.ram.allocate(Int(driver.size) * 32)
        (memory, place, _) = driver.ram.place(data)
    }

    mutating func run() {
        do {
            while reaped < chains, news.isFine {
                offer()
                try reap()
                try rest()
            }
        } catch {
            news.report("\(error)", waking: driver.kick.descriptor.raw)
        }
    }

    private mutating func offer() {
        let room = UInt64(driver.size) - (offered - reaped)
        let most = min(room, chains - offered)
        for _ in 0..<UInt64.random(in: 0...most, using: &random) {
            // Chains come back in their order, so this one's place is free.
            let slot = Int(offered % UInt64(driver.size)) * 32
            memory.store64(offered, at: place + slot)
            memory.store64(~offered, at: place + slot + 8)
            let buffer = data + UInt64(slot)
            guard driver.offer([.writable(buffer, 16)], token: offered) != nil else { break }
            offered += 1
        }
        driver.submit()
    }

    private mutating func reap() throws {
        while let done = try driver.reap() {
            guard done.token == reaped, UInt64(done.written) == reaped & 7 else {
                throw Trouble("chain \(reaped) came back as \(done)")
            }
            reaped += 1
        }
    }

    /// Sleeps until one of the chains that are out, whichever chance names, is back.
    private mutating func rest() throws {
        guard offered > reaped else { return }
        let ahead =
            driver.options.eventIndex ? UInt64.random(in: 0..<offered - reaped, using: &random) : 0
        let awaited = startPosition + reaped + ahead
        if driver.options.eventIndex {
            driver.askForCall(at: awaited)
        } else {
            driver.askForCalls()
        }
        Mapping.fullFence()
        if !driver.isBack(awaited) {
            guard DeviceSide.isWoken(driver.call.descriptor.raw) else {
                throw Trouble("the driver got no call after \(reaped) chains of \(offered)")
            }
        }
        driver.suppressCalls()
    }
}
