import Glibc
import Host
import HostNetwork
import NetPorts
import Testing

@Suite("A real passt")
struct RealPasstTests {
    @Test("It answers ARP over our link, and ends when we do")
    func answers() throws {
        let path = scratchPath("passt")
        defer {
            end(path + ".pid")
            File.remove(path)
        }
        try Namespace.own {
            try run("ip link set lo up")
            try run("ip tuntap add dev uplink0 mode tap")
            try run("ip address add 10.9.0.2/24 dev uplink0")
            try run("ip link set uplink0 up")
            try run("ip route add default via 10.9.0.1")
            // It goes into the background once its socket is there.
            try run("passt --quiet --one-off --pid \(path).pid --socket \(path)")
            var link = try PasstLink(path: path)
            try link.connect()
            let buffers = try Buffers()
            let request = Frame.whoHas(Ends.host)
            let pieces = [1..<13, 20..<40, 50..<50 + request.count - 20]
            buffers.put([UInt8](repeating: 0, count: 12) + request, pieces)
            let sent = link.send(buffers.list(pieces), from: 12)
            #expect(sent == .sent)
            var isAnswered = false
            while !isAnswered, waits(for: link.descriptor), link.fill() == .some {
                while let place = link.next() {
                    let frame = link.input.bytes(at: place.lowerBound, count: place.count)
                    isAnswered = isAnswered || Frame.isAnswer(frame)
                    link.consume()
                }
            }
            #expect(isAnswered)
        }
    }

    /// Ends the process whose number is in the file, if it still runs.
    private func end(_ path: String) {
        let memory = try? Mapping.anonymous(count: 16)
        guard let memory, let file = try? File.open(path, []),
            let count = try? File.read(file, at: 0, into: memory, at: 0, count: 16)
        else { return }
        let digits = memory.bytes(at: 0, count: count).prefix { 0x30...0x39 ~= $0 }
        if let process = pid_t(String(decoding: digits, as: UTF8.self)), process > 1 {
            kill(process, SIGTERM)
        }
        File.remove(path)
    }
}
