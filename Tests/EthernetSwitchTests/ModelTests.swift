import Randomness
import Testing
import VirtioNet

@testable import EthernetSwitch

@Suite("A switch against a model of one, on random traffic")
struct ModelTests {
    /// Everything that may happen is likely: few addresses, few VLANs, guests that come and go.
    private struct Traffic {
        var random: Seeded
        var now = 1000

        mutating func kind() -> SwitchModel.Kind {
            switch Int.random(in: 0..<5, using: &random) {
            case 0, 1: return .access(Int.random(in: 1...3, using: &random))
            case 2: return .transparent
            default:
                let set = (1...4).filter { _ in Bool.random(using: &random) }
                let native =
                    Bool.random(using: &random) ? Int.random(in: 1...4, using: &random) : nil
                return .trunk(Set(set), native: native)
            }
        }

        mutating func address() -> MACAddress {
            switch Int.random(in: 0..<12, using: &random) {
            case 0: return .broadcast
            case 1: return MACAddress(rawValue: 0)
            case 2: return MACAddress(rawValue: 0x01_0000_5e_0001)
            case 3:
                let last = UInt64.random(in: 0...31, using: &random)
                return MACAddress(rawValue: 0xc2_8001 | last << 40)
            default: return station(Int.random(in: 0..<6, using: &random))
            }
        }

        mutating func tags() -> [Frame.Tag] {
            let types: [UInt16] = [0x8100, 0x8100, 0x8100, 0x88a8, 0x9100]
            let count = [0, 0, 1, 1, 1, 2][Int.random(in: 0..<6, using: &random)]
            return (0..<count).map { _ in
                let number: UInt16 = [0, 1, 2, 3, 4, 4095][Int.random(in: 0..<6, using: &random)]
                let priority = UInt16.random(in: 0...15, using: &random) << 12
                return Frame.Tag(
                    type: types[Int.random(in: 0..<5, using: &random)], control: priority | number)
            }
        }

        mutating func pass() {
            switch Int.random(in: 0..<40, using: &random) {
            case 0: now += Int.random(in: 1...70, using: &random)
            case 1...6: now += 1
            default: break
            }
        }
    }

    @Test("What each port gets, byte for byte, and why the rest is dropped", arguments: 0..<12)
    func agrees(stream: Int) throws {
        var traffic = Traffic(random: Seeded(stream))
        let note = "\(traffic.random.note), stream \(stream)"
        // Every third has transparent ports only.
        let kinds = (0..<5).map { _ in stream % 3 == 0 ? .transparent : traffic.kind() }
        let age = 60
        var model = SwitchModel(kinds, age: age)
        var table = SwitchTable(
            ports: kinds.map(\.vlans), capacity: 16_384, ageSeconds: UInt32(age),
            secret: (traffic.random.next(), traffic.random.next()))
        for step in 0..<20_000 {
            traffic.pass()
            let port = Int.random(in: 0..<5, using: &traffic.random)
            switch Int.random(in: 0..<300, using: &traffic.random) {
            case 0:
                model.detach(port)
                table.detach(port)
            case 1...5:
                model.attach(port)
                table.attach(port)
            default: break
            }
            let frame = Frame(
                destination: traffic.address(), source: traffic.address(), tags: traffic.tags())
            let expected = model.forward(frame, from: port, now: traffic.now)
            let verdict = table.forward(
                try #require(frame.key), from: port, now: UInt32(traffic.now))
            let found: SwitchModel.Outcome =
                verdict.reason.map { .dropped($0) }
                ?? .delivered(verdict.deliveries(of: frame.bytes))
            try #require(found == expected, "step \(step), port \(port) of \(kinds): \(note)")
        }
    }

    @Test(
        "A full bucket gives up whom the documentation says, in tables of four buckets",
        arguments: 0..<8)
    func displaces(stream: Int) throws {
        var random = Seeded(stream)
        let secret = (random.next(), random.next())
        var table = fullSwitch(
            Array(repeating: .transparent, count: 4), capacity: 16, ageSeconds: 30_000,
            secret: secret)
        var model = CrowdModel()
        for step in 0..<4000 {
            let now = UInt32(step + 1)
            // Ports differ in how many stations they have.
            let port = min(Int.random(in: 0..<8, using: &random), 3)
            let number = Int.random(in: 0..<(2 << (2 * port)), using: &random) + port << 12
            let key = AddressTable.key(station(number).rawValue, vlan: 0)
            model.learn(
                number, port: port, bucket: table.addresses.bucket(of: key), now: step + 1)
            _ = table.broadcast(number, from: port, now: now)
            for (number, home) in model.homes {
                let key = AddressTable.key(station(number).rawValue, vlan: 0)
                try #require(
                    table.addresses.find(key, now: now) == home.port,
                    "step \(step), stream \(stream), station \(number): \(random.note)")
            }
            for port in 0..<4 {
                let count = model.homes.values.count { $0.port == port }
                try #require(table.stations(port).stations == count, "step \(step): \(random.note)")
            }
        }
        let displaced = (0..<4).reduce(0) { $0 + table.stations($1).displaced }
        let unlearnt = (0..<4).reduce(0) { $0 + table.stations($1).unlearnt }
        #expect(displaced == model.displaced && unlearnt == model.unlearnt, "\(random.note)")
        #expect(displaced > 100, "the traffic must crowd the table: \(random.note)")
    }

    /// The rule for a full bucket, over stations that never move and are never too old.
    private struct CrowdModel {
        struct Home {
            var port: Int
            var bucket: Int
            var heard: Int
        }
        var homes: [Int: Home] = [:]
        var displaced: UInt64 = 0
        var unlearnt: UInt64 = 0

        mutating func learn(_ number: Int, port: Int, bucket: Int, now: Int) {
            if homes[number] != nil {
                homes[number]?.heard = now
                return
            }
            let rivals = homes.filter { $0.value.bucket == bucket }
            if rivals.count == 4 {
                let counts = Dictionary(grouping: homes.values, by: \.port).mapValues(\.count)
                let most = rivals.values.map { counts[$0.port, default: 0] }.max() ?? 0
                let candidates =
                    most > counts[port, default: 0]
                    ? rivals.filter { counts[$0.value.port, default: 0] == most }
                    : rivals.filter { $0.value.port == port }
                guard let loser = candidates.min(by: { $0.value.heard < $1.value.heard }) else {
                    unlearnt += 1
                    return
                }
                homes[loser.key] = nil
                displaced += 1
            }
            homes[number] = Home(port: port, bucket: bucket, heard: now)
        }
    }
}
