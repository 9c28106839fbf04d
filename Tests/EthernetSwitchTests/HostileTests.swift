import Randomness
import Testing
import VirtioNet

@testable import EthernetSwitch

@Suite("Guests that flood the table of addresses")
struct HostileTests {
    private static let four = [PortVLANs](repeating: .transparent, count: 4)

    private func crowded(_ random: inout Seeded) -> SwitchTable {
        fullSwitch(Self.four, capacity: 1024, secret: (random.next(), random.next()))
    }

    /// A source address that no other guest has.
    private func forged(_ random: inout Seeded) -> MACAddress {
        MACAddress(rawValue: random.next() & 0xffff_ffff_fffc | 2 | 0xff << 40)
    }

    private func flood(_ table: inout SwitchTable, from port: Int, _ random: inout Seeded) {
        let key = FrameKey(destination: station(0), source: forged(&random))
        _ = table.forward(key, from: port, now: 1)
    }

    @Test("A flood takes nobody's place who has fewer stations, neither before it nor after")
    func modestPortsKeepTheirs() {
        var random = Seeded()
        var table = crowded(&random)
        for number in 0..<4 { _ = table.broadcast(number, from: 1) }
        for _ in 0..<20_000 { flood(&table, from: 3, &random) }
        for number in 0..<4 { _ = table.broadcast(0x100 + number, from: 2) }
        for _ in 0..<20_000 { flood(&table, from: 3, &random) }
        for number in 0..<4 {
            #expect(table.home(of: number, askedFrom: 0) == 1, "\(random.note)")
            #expect(table.home(of: 0x100 + number, askedFrom: 0) == 2, "\(random.note)")
        }
        #expect(table.stations(3).stations <= table.capacity)
        #expect(table.stations(3).displaced > 10_000, "\(random.note)")
    }

    @Test("However many addresses one port forges, a large port keeps half of its stations")
    func largePortKeepsHalf() {
        var random = Seeded(1)
        var table = crowded(&random)
        for number in 0..<900 { _ = table.broadcast(number, from: 1) }
        let before = table.stations(1).stations
        for _ in 0..<50_000 { flood(&table, from: 3, &random) }
        let after = table.stations(1).stations
        #expect(after >= before / 2 && before > 700, "\(before), then \(after): \(random.note)")
        let known = (0..<900).count { table.home(of: $0, askedFrom: 0) == 1 }
        #expect(known >= after - 1, "\(random.note)")
    }

    @Test("No place is lost to a port that has as many stations or more, one frame after another")
    func everyStep() throws {
        var random = Seeded(2)
        var table = fullSwitch(Self.four, capacity: 64, secret: (random.next(), random.next()))
        for step in 0..<50_000 {
            let port = min(Int.random(in: 0..<12, using: &random), 3)
            let before = (0..<4).map { table.stations($0).stations }
            flood(&table, from: port, &random)
            for other in 0..<4 where other != port {
                let lost = before[other] - table.stations(other).stations
                try #require(
                    lost == 0 || lost == 1 && before[other] > before[port],
                    "step \(step), port \(port) from \(before): \(random.note)")
            }
        }
    }

    @Test("Two floods cannot keep a third guest out")
    func newcomer() {
        var random = Seeded(3)
        var table = crowded(&random)
        for _ in 0..<20_000 {
            flood(&table, from: 2, &random)
            flood(&table, from: 3, &random)
        }
        _ = table.broadcast(7, from: 1)
        #expect(table.home(of: 7, askedFrom: 0) == 1, "\(random.note)")
    }

    @Test("A flood that is over is forgotten like any station")
    func over() {
        var random = Seeded(4)
        var table = fullSwitch(Self.four, secret: (random.next(), random.next()))
        for _ in 0..<40_000 { flood(&table, from: 3, &random) }
        let displaced = table.stations(3).displaced
        for number in 0..<20 { _ = table.broadcast(number, from: 1 + number % 3, now: 400) }
        #expect(
            (0..<20).allSatisfy { table.home(of: $0, askedFrom: 0, now: 400) == 1 + $0 % 3 })
        #expect(table.stations(3).displaced == displaced, "\(random.note)")
    }

    @Test("A crowded port is told of once")
    func said() {
        var random = Seeded(5)
        var table = crowded(&random)
        _ = table.broadcast(1, from: 1)
        for _ in 0..<5000 { flood(&table, from: 3, &random) }
        let stations = table.stations(3).stations
        #expect(table.takeNotice() == .crowded(3, stations: stations))
        for _ in 0..<5000 { flood(&table, from: 3, &random) }
        #expect(table.takeNotice() == nil)
    }

    @Test(
        "Addresses in a row, and one address in every VLAN, spread like random ones",
        arguments: [1 << 40, 1 << 32, 1, 1 << 20, 1 << 48] as [UInt64])
    func spread(stride: UInt64) {
        var random = Seeded(6)
        var table = AddressTable(
            capacity: 4096, ageSeconds: 300, secret: (random.next(), random.next()))
        for number in 0..<2048 as Range<UInt64> {
            table.learn(1 << 63 | number &* stride, port: 0, now: 1)
        }
        // Two in a bucket of four on average: chance leaves out 3 to 4 in 100.
        #expect(table.book(0).stations > 2048 * 94 / 100, "\(random.note), stride \(stride)")
    }

    @Test("Addresses that meet in one bucket part under another secret")
    func aimed() {
        var random = Seeded(7)
        let known = AddressTable(
            capacity: 4096, ageSeconds: 300, secret: (random.next(), random.next()))
        var table = AddressTable(
            capacity: 4096, ageSeconds: 300, secret: (random.next(), random.next()))
        let aimed = (0..<400_000 as Range<UInt64>).map { 1 << 63 | $0 }
            .filter { known.bucket(of: $0) == 5 }
        #expect(aimed.count > 250, "\(random.note)")
        for key in aimed.prefix(250) { table.learn(key, port: 0, now: 1) }
        #expect(table.book(0).stations > 240, "\(random.note)")
    }

    @Test("Two tables have two secrets")
    func secrets() {
        let one = AddressTable(capacity: 4096, ageSeconds: 1)
        let other = AddressTable(capacity: 4096, ageSeconds: 1)
        #expect((0..<64).map { one.bucket(of: $0) } != (0..<64).map { other.bucket(of: $0) })
    }

    @Test(
        "The table has the places that were asked for, rounded up",
        arguments: [(1, 4), (4, 4), (5, 8), (4096, 4096), (5000, 8192)])
    func capacity(asked: Int, made: Int) {
        #expect(AddressTable(capacity: asked, ageSeconds: 1).capacity == made)
    }
}
