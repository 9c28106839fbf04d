import Host
import Testing
import VhostUserFrontend

/// A device's side of a split ring, as small as it can be and with the spec's numbers written out.
struct SplitDevice {
    let driver: SplitDriverQueue
    /// Free-running: of what comes next and of what is given back next.
    private var next: UInt16
    private var used: UInt16

    init(_ driver: SplitDriverQueue) {
        self.driver = driver
        next = UInt16(truncatingIfNeeded: driver.start)
        used = next
    }

    private func word16(_ address: UInt64) -> UInt16 {
        let (memory, at, _) = driver.ram.place(address)
        return memory.load16(at: at, acquiring: true)
    }

    /// The next chain: its head and buffers; nil where there is none.
    mutating func take() -> (head: UInt16, buffers: [DriverBuffer])? {
        guard word16(driver.available + 2) != next else { return nil }
        let head = word16(driver.available + 4 + UInt64(next % driver.size) * 2)
        next &+= 1
        var buffers: [DriverBuffer] = []
        var (table, index) = (driver.descriptors, UInt64(head))
        while true {
            let (memory, at, _) = driver.ram.place(table + index * 16)
            let address = memory.load64(at: at)
            let flags = memory.load16(at: at + 12)
            if flags & 4 != 0 {
                (table, index) = (address, 0)
                continue
            }
            buffers.append(
                DriverBuffer(
                    address: address, length: memory.load32(at: at + 8),
                    isWritable: flags & 2 != 0))
            guard flags & 1 != 0 else { return (head, buffers) }
            index = UInt64(memory.load16(at: at + 14))
        }
    }

    /// Puts chains into the used ring, and then shows them all.
    mutating func complete(_ chains: [(head: UInt16, written: UInt32)]) {
        for (head, written) in chains {
            let entry = driver.used + 4 + UInt64(used % driver.size) * 8
            let (memory, at, _) = driver.ram.place(entry)
            memory.store32(UInt32(head), at: at)
            memory.store32(written, at: at + 4)
            used &+= 1
        }
        let (memory, at, _) = driver.ram.place(driver.used + 2)
        memory.store16(used, at: at, releasing: true)
    }
}

/// Either of the two devices: chains by whatever number names them.
enum TestDevice {
    case split(SplitDevice)
    case packed(PackedDevice)

    struct Taken {
        var number: UInt16
        var count: UInt16
        var buffers: [DriverBuffer]

        var length: Int { buffers.reduce(0) { $0 + Int($1.length) } }
    }

    init(_ queue: DriverQueue) throws {
        if let split = queue as? SplitDriverQueue {
            self = .split(SplitDevice(split))
        } else {
            self = .packed(PackedDevice(try #require(queue as? PackedDriverQueue)))
        }
    }

    /// The next chain; nil where there is none.
    mutating func take() -> Taken? {
        switch self {
        case .split(var device):
            defer { self = .split(device) }
            return device.take().map { Taken(number: $0.head, count: 0, buffers: $0.buffers) }
        case .packed(var device):
            defer { self = .packed(device) }
            return device.take().map {
                Taken(number: $0.id, count: $0.count, buffers: $0.buffers)
            }
        }
    }

    /// The next chain, which must be there.
    mutating func takeOne() throws -> Taken {
        let taken = take()
        return try #require(taken)
    }

    /// Gives chains back, to be seen together in a split ring.
    mutating func complete(_ chains: [(Taken, written: Int)]) {
        switch self {
        case .split(var device):
            device.complete(chains.map { ($0.number, UInt32($1)) })
            self = .split(device)
        case .packed(var device):
            for (chain, written) in chains {
                device.complete(chain.number, chain.count, written: UInt32(written))
            }
            self = .packed(device)
        }
    }
}

extension GuestRAM {
    /// The bytes of a chain's buffers, one after the other.
    func read(_ buffers: [DriverBuffer]) -> [UInt8] {
        buffers.flatMap { read(Int($0.length), at: $0.address) }
    }

    /// Writes bytes over a chain's buffers, as far as they go.
    func write(_ bytes: [UInt8], over buffers: [DriverBuffer]) {
        var rest = bytes[...]
        for buffer in buffers where !rest.isEmpty {
            let piece = rest.prefix(Int(buffer.length))
            write(Array(piece), at: buffer.address)
            rest = rest.dropFirst(piece.count)
        }
    }
}
