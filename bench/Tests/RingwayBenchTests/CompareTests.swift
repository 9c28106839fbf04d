import Foundation
import Testing

@testable import ringway_bench

private func window(
    _ backend: String, _ iops: Double, near: Bool? = true, cpu: Double? = nil, errors: Int = 0
) -> Window {
    let trip = RoundTrip(
        before: near == true ? 60 : 310, after: near == false ? 310 : 60)
    let latency = DriverSample.Latency(avg: 1, p50: 1, p99: 2, p999: 3)
    return Window(
        line: "line", backend: backend, round: 0, date: Date(timeIntervalSince1970: 0),
        load: AnyLoad(load: BlkLoad()), distance: Distance(trip),
        sample: DriverSample(
            rate: iops, throughput: iops / 256, latency: latency, errors: errors,
            roundTrip: trip, cpuEach: cpu,
            backend: .init(residentKiB: 900, voluntarySwitches: 1, involuntarySwitches: 0)))
}

private func result(_ windows: [Window]) -> LineResult<BlkLine> {
    LineResult(line: BlkLine.all[0], ours: ["ours"], peers: ["one", "other"], windows: windows)
}

@Suite struct SummaryTests {
    @Test func aMedianIsTheMiddleOrBetweenTheMiddles() {
        #expect(median([]) == 0)
        #expect(median([3, 1, 2]) == 2)
        #expect(median([4, 1, 2, 10]) == 3)
    }

    @Test func aWindowInWhichTheCoresMovedHasNoDistance() {
        #expect(Distance(.init(before: 149, after: 20)) == .near)
        #expect(Distance(.init(before: 150, after: 400)) == .far)
        #expect(Distance(.init(before: 149, after: 150)) == nil)
        #expect(Distance(.init(before: 150, after: 149)) == nil)
        #expect(Distance(nil) == .unknown)
    }

    @Test func onlyWindowsThatCountAreSummed() throws {
        let windows = [
            window("ours", 100, cpu: 2), window("ours", 300, cpu: 4), window("ours", 9, near: nil),
            window("ours", 8, errors: 1), window("ours", 7, near: false), window("one", 6),
        ]
        let near = try #require(Summary("ours", .near, of: windows))
        #expect(near.count == 2)
        #expect(near.rate == 200)
        #expect(near.lowest == 100 && near.highest == 300)
        #expect(near.cpu == 3)
        #expect(Summary("other", .near, of: windows) == nil)
    }

    @Test func likeIsComparedWithLikeAndWithTheBestPeer() throws {
        let line = result([
            window("ours", 400, cpu: 1), window("ours", 100, near: false),
            window("one", 100, cpu: 2), window("one", 50, near: false),
            window("other", 200, cpu: 4),
        ])
        let near = try #require(Contest(line, at: .near, least: 1))
        #expect(near.peer.backend == "other")
        #expect(near.ratio == 2)
        #expect(near.cpuRatio == 0.25)
        #expect(!near.isPartial)
        let far = try #require(Contest(line, at: .far, least: 1))
        #expect(far.ratio == 2)
        #expect(far.cpuRatio == nil)
        #expect(far.isPartial)
        #expect(Contest(line, at: .near, least: 2) == nil)
    }

    @Test func commonGroundIsOneDistanceThatKnowsAll() {
        var line = result([
            window("ours", 1), window("one", 1), window("other", 1, near: false),
        ])
        #expect(!line.hasCommonGround(1))
        line.windows.append(window("other", 1))
        #expect(line.hasCommonGround(1))
        #expect(!line.hasCommonGround(2))
    }

    @Test func theBestIsJudgedWhereMostAreKnown() {
        let line = result([
            window("one", 900, near: false), window("one", 200), window("other", 300),
        ])
        #expect(line.best(of: line.peers) == "other")
        #expect(line.best(of: ["nobody"]) == nil)
    }
}

@Suite struct ContractTests {
    @Test func aDriversResultIsRead() throws {
        let text = """
            {"iops": 1000.5, "mib_s": 3.9, "latency_us": {"avg": 1, "p50": 2, "p99": 3, "p999": 4},
             "errors": 0, "c2c_ns": {"before": 60, "after": 61}, "cpu_us_per_io": 2.5,
             "backend": {"pid": 1, "rss_kib": 1000, "rss_private_kib": 900,
                         "huge_private_kib": 2048,
                         "context_switches": 7, "context_switches_involuntary": 1}, "more": true}
            """
        let sample = try JSONDecoder().decode(DriverSample.self, from: Data(text.utf8))
        #expect(sample.rate == 1000.5)
        #expect(sample.latency?.p99 == 3)
        #expect(sample.backend?.residentKiB == 900)
        #expect(sample.backend?.memoryKiB == 2948)
        #expect(sample.roundTrip?.after == 61)
        #expect(sample.cpuEach == 2.5)
    }

    @Test func aDriverMayKnowLittle() throws {
        let text = """
            {"iops": 0, "mib_s": 0, "errors": 0, "c2c_ns": {}}
            """
        let sample = try JSONDecoder().decode(DriverSample.self, from: Data(text.utf8))
        #expect(Distance(sample.roundTrip) == .unknown)
        #expect(sample.cpuEach == nil && sample.latency == nil)
    }

    @Test func aPeerIsToldTheStoreAndTheLoop() {
        let paths = StorePaths(sharedMemoryFile: "/dev/shm/f", diskFile: "/disk/f")
        let eager = BlkBackend(
            kind: .storageDaemon(engine: .ioUring, loop: .eager), paths: paths)
        let direct = eager.words(for: .directFile, socket: "S").joined(separator: " ")
        #expect(direct.contains("filename=/disk/f,aio=io_uring,cache.direct=on"))
        #expect(direct.contains("--object iothread,id=t,poll-max-ns=1000000 "))
        #expect(direct.hasSuffix("iothread=t"))
        let main = BlkBackend(kind: .storageDaemon(engine: .threads, loop: .main), paths: paths)
        let shared = main.words(for: .sharedMemoryFile, socket: "S").joined(separator: " ")
        #expect(shared.contains("filename=/dev/shm/f,aio=threads,cache.direct=off"))
        #expect(!shared.contains("iothread"))
    }

    @Test func linesAndConfigurationsHaveNamesOfTheirOwn() {
        #expect(Set(BlkLine.all.map(\.name)).count == BlkLine.all.count)
        let paths = StorePaths(sharedMemoryFile: "/dev/shm/f", diskFile: "/disk/f")
        for line in BlkLine.all {
            let names = BlkBackend.peers(few: false, paths).filter { $0.serves(line.store) }
                .map { $0.name(on: line.store) }
            #expect(Set(names).count == names.count, "\(line.name)")
        }
    }
}

@Suite struct ChoiceTests {
    @Test func aWholeNameIsNoBeginning() {
        let names = ["read-qd1", "read-qd128", "write-qd1"]
        func chosen(_ words: String...) -> [String] {
            names.filter { $0.isChosen(by: words, among: names) }
        }
        #expect(chosen() == names)
        #expect(chosen("read-qd1") == ["read-qd1"])
        #expect(chosen("read") == ["read-qd1", "read-qd128"])
        #expect(chosen("read-qd12", "write-qd1") == ["read-qd128", "write-qd1"])
        #expect(chosen("none").isEmpty)
    }
}

@Suite struct ChildTests {
    private func start(_ words: String...) throws -> Child {
        try Child(words, cpu: 0, output: "/dev/null", errors: "/dev/null")
    }

    @Test func aChildsStatusIsKnown() throws {
        #expect(try start("sh", "-c", "exit 3").wait(atMost: 60) == 3)
    }

    @Test func aChildThatTakesTooLongIsKilled() throws {
        let child = try start("sleep", "600")
        #expect(child.isAlive)
        #expect(child.wait(atMost: 0) == nil)
        #expect(!child.isAlive)
    }

    @Test func aStoppedChildEnds() throws {
        let child = try start("sleep", "600")
        child.suspend()
        child.end()
        #expect(!child.isAlive)
    }

    @Test func aChildLeadsASessionAndHasItsProcessor() throws {
        let child = try start("sleep", "600")
        defer { child.kill() }
        #expect(getsid(child.pid) == child.pid)
        // Its own words follow only once taskset has given way to it.
        var status = ""
        while !status.contains("Name:\tsleep") {
            status = try String(contentsOfFile: "/proc/\(child.pid)/status", encoding: .utf8)
        }
        #expect(status.contains("Cpus_allowed_list:\t0\n"))
    }
}

@Suite struct PlotTests {
    @Test func axesHaveRoundMarksThatHoldAllValues() {
        #expect(Scale.marks(upTo: 3) == [0, 1, 2, 3])
        #expect(Scale.marks(upTo: 0.9).map(Scale.text) == ["0", "0.2", "0.4", "0.6", "0.8", "1"])
        #expect(Scale.marks(upTo: 0) == [0, 1])
        let marks = Scale.logMarks(7, 130)
        #expect(marks.first == 5 && marks.last == 200)
        #expect(Scale.logMarks(10, 10).count > 1)
    }

    @Test func textIsEscaped() {
        var drawing = Drawing(width: 10, height: 10)
        drawing.text("a < b & c", 0, 0)
        #expect(drawing.svg.contains("a &lt; b &amp; c"))
    }
}
