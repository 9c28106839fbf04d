import Randomness
import Testing
import VhostUserProtocol
import VirtioSpec

@Suite("No bytes from outside can trap the decoder")
struct FuzzTests {
    @Test(
        "Every message with a rule has a decoding, whatever its payload holds",
        arguments: VhostUserRequest.allCases)
    func everyRuleDecodes(request: VhostUserRequest) throws {
        var noise = Seeded()
        for rule in [Rule.of(request)].compactMap({ $0 }) {
            for _ in 0..<200 {
                let payload = Self.payload(rule.payload, &noise)
                let header = MessageHeader(
                    request: request.rawValue, flags: 1, size: UInt32(payload.count))
                let count = Int.random(in: rule.descriptors, using: &noise)
                #expect(throws: Never.self, "seed \(noise.seed)") {
                    _ = try Message.decode(
                        header, payload, descriptors: count, negotiated: .everything)
                }
            }
        }
    }

    /// Random bytes of the right size.
    private static func payload(_ rule: Rule.Payload, _ noise: inout Seeded) -> [UInt8] {
        switch rule {
        case .bytes(let count): return noise.bytes(count)
        case .memoryTable:
            let count = Int.random(in: 0...8, using: &noise)
            return [UInt8(count), 0, 0, 0] + noise.bytes(4 + 32 * count)
        case .config:
            let count = Int.random(in: 0...255, using: &noise)
            return noise.bytes(4) + [UInt8(count), 0, 0, 0] + noise.bytes(4 + count)
        }
    }

    @Test("A hundred thousand random messages are taken or refused")
    func randomMessages() {
        var noise = Seeded()
        var taken = 0
        for _ in 0..<100_000 {
            var header = MessageHeader(noise.bytes(12))
            // Half of them with an id that exists, so that rules are reached at all.
            header.request %= Bool.random(using: &noise) ? 64 : .max
            let payload = noise.bytes([0, 0, 8, 8, 12, 24, 40, 72][Int(noise.next() >> 61)])
            let count = [0, 0, 1, 9][Int(noise.next() >> 62)]
            let message = try? Message.decode(
                header, payload, descriptors: count, negotiated: .everything)
            taken += message == nil ? 0 : 1
            _ = try? header.check()
        }
        #expect(taken > 1000 && taken < 90_000, "seed \(noise.seed)")
    }
}
