import Testing
import VirtioNet

@testable import EthernetSwitch

@Suite("Stations grow old, and move")
struct AgeingTests {
    private func pair(ageSeconds: UInt32 = 300, ports: Int = 3) -> SwitchTable {
        fullSwitch([PortVLANs](repeating: .transparent, count: ports), ageSeconds: ageSeconds)
    }

    @Test("A silent station is forgotten with the last second of its age", arguments: [1, 2, 300])
    func forgotten(age: UInt32) {
        var table = pair(ageSeconds: age)
        _ = table.broadcast(9, from: 1, now: 1000)
        #expect(table.home(of: 9, askedFrom: 0, now: 1000 + age - 1) == 1)
        #expect(table.home(of: 9, askedFrom: 0, now: 1000 + age) == nil)
    }

    @Test("Whoever speaks stays young; being spoken to is not enough")
    func speaks() {
        var table = pair(ageSeconds: 10)
        _ = table.broadcast(9, from: 1, now: 100)
        _ = table.broadcast(8, from: 1, now: 100)
        for now in 101...125 as ClosedRange<UInt32> {
            _ = table.broadcast(9, from: 1, now: now)
            #expect(table.home(of: 9, askedFrom: 0, now: now) == 1)
            #expect((table.home(of: 8, askedFrom: 0, now: now) == 1) == (now < 110))
        }
    }

    @Test("The clock may wrap round, or go back a little")
    func clock() {
        var table = pair()
        _ = table.broadcast(9, from: 1, now: .max - 5)
        #expect(table.home(of: 9, askedFrom: 0, now: 290) == 1)
        #expect(table.home(of: 9, askedFrom: 0, now: 294) == nil)
        _ = table.broadcast(9, from: 1, now: 1000)
        #expect(table.home(of: 9, askedFrom: 0, now: 990) == 1)
    }

    @Test("The forgotten leave the table without being asked for")
    func swept() {
        var table = pair(ageSeconds: 10)
        for number in 0..<1000 { _ = table.broadcast(number, from: 1, now: 100) }
        #expect(table.stations(1).stations > 900)
        for now in 110...120 as ClosedRange<UInt32> {
            _ = table.broadcast(0x1000, from: 0, now: now)
        }
        #expect(table.stations(1).stations == 0 && table.stations(0).stations == 1)
    }

    @Test("Sweeping takes nobody who is not too old")
    func notSwept() {
        var table = pair(ageSeconds: 50)
        for number in 0..<50 { _ = table.broadcast(number, from: 1, now: 100) }
        for now in 101...149 as ClosedRange<UInt32> {
            _ = table.broadcast(0x1000, from: 0, now: now)
        }
        #expect((0..<50).allSatisfy { table.home(of: $0, askedFrom: 0, now: 149) == 1 })
    }

    @Test("A station that speaks from another port has moved there")
    func moves() {
        var table = pair()
        _ = table.broadcast(9, from: 1)
        _ = table.broadcast(9, from: 2)
        #expect(table.home(of: 9, askedFrom: 0) == 2)
        #expect(table.stations(1).stations == 0 && table.stations(2).stations == 1)
        #expect(table.stations(2).moves == 1 && table.takeNotice() == nil)
    }

    @Test("Five times in ten seconds, then it stays; its frames go on")
    func restless() {
        var table = pair()
        _ = table.broadcast(9, from: 1, now: 100)
        for step in 0..<5 { _ = table.broadcast(9, from: 2 - step % 2, now: 100) }
        #expect(table.home(of: 9, askedFrom: 0, now: 100) == 2)
        #expect(table.broadcast(9, from: 1, now: 109).ports == [0, 2])
        #expect(table.home(of: 9, askedFrom: 0, now: 109) == 2)
        #expect(table.stations(1).refusedMoves == 1)
        _ = table.broadcast(9, from: 1, now: 110)
        #expect(table.home(of: 9, askedFrom: 0, now: 110) == 1)
        #expect(table.stations(1).refusedMoves == 1)
    }

    @Test("Moves far apart are never too many")
    func patient() {
        var table = pair()
        for step in 0..<40 {
            let port = 1 + step % 2
            let now = UInt32(100 + step * 10)
            _ = table.broadcast(9, from: port, now: now)
            #expect(table.home(of: 9, askedFrom: 0, now: now) == port)
        }
    }

    @Test(
        "Moves are forgotten though the second's low 16 bits come round, and though it spoke between"
    )
    func comesRound() {
        var table = pair(ageSeconds: 32_768)
        for step in 0...5 { _ = table.broadcast(9, from: 1 + step % 2, now: 100) }
        _ = table.broadcast(9, from: 2, now: 30_000)
        _ = table.broadcast(9, from: 2, now: 60_000)
        _ = table.broadcast(9, from: 1, now: 100 + 65_536)
        #expect(table.home(of: 9, askedFrom: 0, now: 100 + 65_536) == 1)
    }

    @Test("Who was forgotten has not moved")
    func anew() {
        var table = pair(ageSeconds: 5)
        for step in 0..<20 {
            _ = table.broadcast(9, from: 1 + step % 2, now: UInt32(100 + step * 5))
        }
        #expect(table.stations(1).moves + table.stations(2).moves == 0)
    }

    @Test("Too many moves are said once, and once again with the next guest")
    func said() {
        var table = pair()
        func quarrel(_ now: UInt32) {
            for step in 0..<30 { _ = table.broadcast(9, from: 1 + step % 2, now: now) }
        }
        quarrel(100)
        #expect(table.takeNotice() == .moving(station(9), vlan: 0, from: 2, to: 1))
        #expect(table.takeNotice() == nil)
        quarrel(500)
        #expect(table.takeNotice() == nil)
        table.detach(1)
        table.attach(1)
        quarrel(900)
        #expect(table.takeNotice() == .moving(station(9), vlan: 0, from: 2, to: 1))
    }
}
