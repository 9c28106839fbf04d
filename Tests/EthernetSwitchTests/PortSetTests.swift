import EthernetSwitch
import Randomness
import Testing

@Suite("Sets of ports")
struct PortSetTests {
    @Test("A set of ports is a set")
    func model() {
        var random = Seeded()
        for _ in 0..<500 {
            let one = Set((0..<8).map { _ in Int.random(in: 0..<64, using: &random) })
            let other = Set((0..<40).map { _ in Int.random(in: 0..<64, using: &random) })
            let (first, second) = (PortSet(one), PortSet(other))
            #expect(Array(first) == one.sorted(), "\(random.note)")
            #expect(first.count == one.count)
            #expect(Set(first.union(second)) == one.union(other))
            #expect(Set(first.intersection(second)) == one.intersection(other))
            #expect(Set(second.subtracting(first)) == other.subtracting(one))
            #expect((0..<64).allSatisfy { first.contains($0) == one.contains($0) })
        }
    }

    @Test("Ports at both ends go in and out")
    func ends() {
        var set = PortSet([0, 63])
        #expect(set.rawValue == 1 | 1 << 63 as UInt64)
        #expect(set.popFirst() == 0 && set.popFirst() == 63 && set.popFirst() == nil)
        set.insert(63)
        set.remove(63)
        set.remove(5)
        #expect(set.isEmpty)
    }
}
