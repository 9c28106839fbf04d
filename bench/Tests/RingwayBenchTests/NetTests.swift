import Foundation
import Host
import Testing
import VhostUserFrontend
import VirtioSpec

@testable import ringway_bench

private func command(_ words: String...) throws -> NetCommand {
    try NetCommand.parse(["--socket-path", "s"] + words)
}

@Suite struct NetPlanTests {
    @Test func withoutOptionsSmallPacketsGoRound() throws {
        let plan = try command().plan()
        #expect(plan.mode == .loop && plan.frameBytes == 64 && plan.pairs == 1)
        #expect(plan.queueSize == 1024 && !plan.isPacked && plan.wantsMergeable)
        #expect(plan.offloads.isEmpty)
        #expect(plan.window(headerBytes: 12, isMergeable: true) == 256)
        #expect(plan.bufferBytes(headerBytes: 12, isMergeable: true) == 2048)
        #expect(plan.bufferBytes(headerBytes: 12, isMergeable: false) == 1530)
    }

    @Test func largePacketsNeedOffloadsOfTheirDirection() throws {
        #expect(try command("--frame", "9000").plan().offloads.isEmpty)
        let sent = try command("--frame", "64k", "--mode", "tx").plan()
        #expect(sent.offloads == [.netChecksum, .netHostTSO4])
        let received = try command("--frame", "64k", "--mode", "rx").plan()
        #expect(received.offloads == [.netGuestChecksum, .netGuestTSO4])
        let both = try command("--frame", "64k").plan()
        #expect(both.offloads.isSuperset(of: sent.offloads.union(received.offloads)))
        #expect(both.bufferBytes(headerBytes: 12, isMergeable: false) == 65_562)
    }

    @Test func theWindowFitsBothRings() throws {
        // 17 buffers of 4096 for each, of 256.
        let large = try command("--frame", "64k").plan()
        #expect(large.window(headerBytes: 12, isMergeable: true) == 7)
        #expect(large.window(headerBytes: 12, isMergeable: false) == 128)
        let cut = try command("--frame", "1000", "--cut", "253", "--queue-size", "16").plan()
        #expect(cut.cuts(headerBytes: 12) == [253, 253, 253])
        #expect(cut.sendSlots(headerBytes: 12) == 4)
        #expect(cut.window(headerBytes: 12, isMergeable: true) == 2)
        #expect(
            try command("--inflight", "1").plan().window(headerBytes: 12, isMergeable: true) == 1)
    }

    @Test func cutsNeverTakeTheWholePacket() throws {
        for cut in 16...200 {
            let plan = try command("--cut", "\(cut)").plan()
            for header in [10, 12] {
                let cuts = plan.cuts(headerBytes: header)
                #expect(cuts.reduce(0, +) < header + 64)
                #expect(cuts.reduce(0, +) + cut >= header + 64)
            }
        }
    }

    @Test(arguments: [
        ["--frame", "63"], ["--frame", "65537"], ["--queue-pairs", "0"], ["--burst", "0"],
        ["--cut", "15"], ["--inflight", "0"], ["--inflight", "1", "--mode", "tx"],
        ["--rate", "0"], ["--rate", "5", "--mode", "rx"], ["--verify", "--mode", "rx"],
        ["--mode", "switch"], ["--peer-socket", "p"],
        ["--mode", "switch", "--peer-socket", "p", "--queue-pairs", "2"],
        ["--driver", "testpmd", "--verify"], ["--driver", "testpmd", "--inflight", "1"],
        ["--driver", "testpmd", "--frame", "1519"], ["--driver", "testpmd", "--queue-pairs", "2"],
        ["--driver", "testpmd", "--mode", "switch", "--peer-socket", "p"],
        ["--queue-size", "3"], ["--frame", "1518", "--cut", "16", "--queue-size", "64"],
    ])
    func whatMakesNoSenseIsRefused(words: [String]) throws {
        let command = try NetCommand.parse(["--socket-path", "s"] + words)
        #expect(throws: (any Error).self) { try command.plan() }
    }

    @Test func addressesAreReadAsPeopleWriteThem() {
        #expect(HardwareAddress(argument: "52:57:00:0a:ff:01")?.bytes == [82, 87, 0, 10, 255, 1])
        #expect(HardwareAddress(argument: "52:57:00:0a:ff:01")?.text == "52:57:00:0a:ff:01")
        for text in [
            "", "52:57:00:0a:ff", "52:57:00:0a:ff:1", "52:57:00:0a:ff:01:", "+1:02:03:04:05:06",
        ] {
            #expect(HardwareAddress(argument: text) == nil, "\(text)")
        }
    }

    @Test func theMemoryHoldsAllOfIt() throws {
        let across = ["--mode", "switch", "--peer-socket", "p"]
        for words in [
            [], ["--frame", "64k"], ["--no-mrg"], ["--packed", "--indirect"], across,
            across + ["--frame", "64k", "--packed"],
        ] {
            let plan = try NetCommand.parse(["--socket-path", "s"] + words).plan()
            for isMergeable in [false, true] {
                let links = try (0..<2).map { _ in
                    NetLink(
                        shape: QueueShape(
                            isPacked: plan.isPacked, size: plan.queueSize,
                            options: DriverQueue.Options(indirect: plan.isIndirect), start: nil),
                        headerBytes: 12, isMergeable: isMergeable,
                        ram: try GuestRAM(byteCount: plan.memoryBytes))
                }
                let receiver = links[plan.mode == .across ? 1 : 0]
                // Traps where there is too little.
                let lane = try NetLane(plan, links[0], receiver, 0)
                #expect(lane.queues.count == (plan.mode == .across ? 4 : 2))
            }
        }
    }
}

@Suite struct NetPacketTests {
    @Test func aSmallPacketIsWhatItSays() throws {
        let plan = try command("--frame", "100", "--source", "02:00:00:00:00:0a").plan()
        let packet = NetPacket(plan, flow: 3)
        #expect(packet.bytes.count == 100)
        #expect(packet.header == PacketHeader())
        #expect(Array(packet.bytes[6..<14]) == [2, 0, 0, 0, 0, 10, 8, 0])
        // IPv4's length, protocol and checksum; UDP's ports and length.
        #expect(Array(packet.bytes[16..<18]) == [0, 86] && packet.bytes[23] == 17)
        #expect(NetPacket.sum(Array(packet.bytes[14..<34])) == 0xffff)
        #expect(Array(packet.bytes[34..<40]) == [4, 3, 0, 9, 0, 66])
    }

    @Test func aLargePacketIsToBeCut() throws {
        let packet = NetPacket(try command("--frame", "64k").plan(), flow: 0)
        #expect(packet.bytes.count == 65_536 && packet.bytes[23] == 6)
        #expect(packet.header.flags == 1 && packet.header.segmentation == 1)
        #expect(packet.header.checksumStart == 34 && packet.header.checksumOffset == 16)
        #expect(packet.header.headerLength == 54 && packet.header.segmentBytes == 1460)
        // The pseudo header's sum, where TCP's checksum goes.
        let pseudo = Array(packet.bytes[26..<34]) + [0, 6, 0xff, 0xde]
        let sum = NetPacket.sum(pseudo)
        #expect(Array(packet.bytes[50..<52]) == [UInt8(sum >> 8), UInt8(sum & 0xff)])
    }
}

@Suite struct NetMarksTests {
    private let memory: Mapping
    private let count = 128

    init() throws { memory = try Mapping.anonymous(count: 4096) }

    private func packet(bytes: Int? = nil, first: Int? = nil) -> ReceiveStream.Packet {
        ReceiveStream.Packet(
            packetBytes: bytes ?? count, bufferCount: 1, offset: 64, firstBytes: first ?? count)
    }

    @Test func whatComesBackInOrderIsRight() {
        let marks = NetMarks(frameBytes: count)
        for _ in 0..<3 {
            marks.stamp(memory, at: 64, whole: true)
            #expect(marks.judge(packet(), memory) == nil)
        }
    }

    @Test func aPacketTwiceOrNeverSentIsWrong() {
        let marks = NetMarks(frameBytes: count)
        marks.stamp(memory, at: 64, whole: true)
        #expect(marks.judge(packet(), memory) == nil)
        #expect(marks.judge(packet(), memory) != nil)
        memory.store64(1, at: 64 + NetPacket.markStart)
        #expect(marks.judge(packet(), memory) != nil)
    }

    @Test func aGapIsNoMistake() {
        let marks = NetMarks(frameBytes: count)
        for _ in 0..<5 { marks.stamp(memory, at: 64, whole: true) }
        #expect(marks.judge(packet(), memory) == nil)
    }

    @Test func otherBytesOrAnotherLengthAreWrong() {
        for byte in [64, 100, 127] {
            let marks = NetMarks(frameBytes: count)
            marks.stamp(memory, at: 64, whole: true)
            memory.store8(memory.load8(at: 64 + byte) ^ 1, at: 64 + byte)
            #expect(marks.judge(packet(), memory) != nil, "\(byte)")
        }
        let marks = NetMarks(frameBytes: count)
        marks.stamp(memory, at: 64, whole: true)
        #expect(marks.judge(packet(bytes: 127), memory) != nil)
        #expect(marks.judge(packet(first: 60), memory) != nil)
    }
}

@Suite struct NetComparisonTests {
    @Test func linesHaveNamesOfTheirOwnAndOptionsThatParse() throws {
        let all = NetLine.net + NetLine.switch
        #expect(Set(NetLine.net.map(\.name)).count == NetLine.net.count)
        #expect(Set(NetLine.switch.map(\.name)).count == NetLine.switch.count)
        #expect(Set(all.map(\.title)).count >= NetLine.net.count)
        for line in all {
            let words = line.load.words(socket: "s", seconds: 2, warmup: 0.5, cpu: 0)
            #expect(words.first == "net")
            let plan = try NetCommand.parse(Array(words.dropFirst())).plan()
            #expect(plan.mode == line.load.mode && plan.frameBytes == line.load.frame)
            #expect(plan.isPacked == (line.load.form == .packed))
            #expect(plan.wantsMergeable == (line.load.form != .noMrg))
            #expect(plan.inFlight == line.load.inFlight)
            #expect(plan.driving == line.load.driver)
        }
        #expect(NetLine.net.contains { $0.name == "trip-64-split" })
        #expect(NetLine.net.contains { $0.name == "virtio-user-loop-1518-nomrg" })
        #expect(NetLine.switch.contains { $0.name == "switch-1518-packed" })
    }

    @Test func eachSideIsToldWhatTheLineNeeds() throws {
        let source = try #require(NetLine.net.first { $0.name == "source-1518-packed" })
        let sink = try #require(NetLine.net.first { $0.name == "sink-64-nomrg" })
        let ours = NetBackend.ringway(program: "p", pollMicroseconds: 7)
        let words = ours.words(on: source, socket: "S").joined(separator: " ")
        #expect(words.contains("--socket-path S --port generate:1518 --poll-us 7"))
        // Like testpmd, it copies what it takes.
        #expect(ours.words(on: sink, socket: "S").contains("copy:"))
        let peer = NetBackend.testpmd(hugePages: false)
        let theirs = peer.words(on: source, socket: "S").joined(separator: " ")
        #expect(theirs.contains("iface=S,") && theirs.contains("--no-huge"))
        #expect(theirs.contains("--forward-mode=txonly") && theirs.contains("--txpkts=1518"))
        let taking = peer.words(on: sink, socket: "S")
        #expect(taking.contains("--forward-mode=rxonly"))
        let huge = NetBackend.testpmd(hugePages: true)
        #expect(!huge.words(on: sink, socket: "S").contains("--no-huge"))
        #expect(Set([ours, peer, huge].map { $0.name(on: sink) }).count == 3)
    }

    @Test func aSwitchHasAPortForEachSocketOfTheDriver() throws {
        let line = try #require(NetLine.switch.first { $0.name == "switch-64-split" })
        let driver = line.load.words(socket: "/d/S", seconds: 1, warmup: 1, cpu: 0)
        let at = try #require(driver.firstIndex(of: "--peer-socket"))
        let second = driver[at + 1]
        let ours = NetBackend.ringway(program: "p", pollMicroseconds: nil)
        #expect(
            ours.words(on: line, socket: "/d/S").joined(separator: " ")
                .hasSuffix("--port /d/S --port \(second)"))
        for hugePages in [false, true] {
            let peer = NetBackend.openVSwitch(hugePages: hugePages)
            #expect(peer.serves(line) && !peer.serves(NetLine.net[0]))
            let told = peer.preparation(on: line, socket: "/d/S").joined().joined(separator: " ")
            // A port is named like its socket, which is made in the switch's own folder.
            #expect(told.contains("add-port br0 S "))
            #expect("/d/" + (told.split(separator: " ").dropLast().last ?? "") == second)
            #expect(peer.words(on: line, socket: "/d/S").contains("OVS_RUNDIR=/d"))
            #expect(told.contains("--no-huge") != hugePages)
        }
        #expect(!NetBackend.testpmd(hugePages: false).serves(line))
    }

    @Test func aDriversResultIsRead() throws {
        let text = """
            {"mpps": 1.5, "gbit_s": 0.77, "sent": 9, "received": 8, "lost": 1, "errors": 0,
             "c2c_ns": {"before": 60, "after": 61}, "cpu_ns_per_packet": 250,
             "latency_us": {"avg": 1, "p50": 2, "p99": 3, "p999": 4}}
            """
        let sample = try JSONDecoder().decode(DriverSample.self, from: Data(text.utf8))
        #expect(sample.rate == 1.5e6 && sample.throughput == 0.77 && sample.lost == 1)
        #expect(sample.cpuEach == 0.25 && sample.latency?.p50 == 2)
        let again = try JSONDecoder().decode(
            DriverSample.self, from: try JSONEncoder().encode(sample))
        #expect(again.isOfPackets && again.rate == 1.5e6 && again.cpuEach == 0.25)
    }
}
