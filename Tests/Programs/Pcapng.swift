/// pcapng as its specification has it, read by the tests alone: every length is checked against the
/// other, and anything unknown is an error.
public struct Pcapng {
    public struct Packet: Equatable {
        public var time: UInt64
        public var bytes: [UInt8]
        public var direction: UInt32
        public var interface: Int

        public init(time: UInt64, bytes: [UInt8], direction: UInt32, interface: Int = 0) {
            self.time = time
            self.bytes = bytes
            self.direction = direction
            self.interface = interface
        }
    }

    public struct Interface: Equatable {
        public var name = ""
        public var linkType: UInt16
        public var snapLength: UInt32
        public var timeResolution: UInt8?
    }

    public struct Broken: Error, CustomStringConvertible {
        public let description: String
        init(_ description: String) { self.description = description }
    }

    public private(set) var program = ""
    public private(set) var interfaces: [Interface] = []
    public private(set) var packets: [Packet] = []

    public init(_ file: [UInt8]) throws {
        guard Self.word(file, 0) == 0x0a0d_0d0a else { throw Broken("no section header") }
        guard Self.word(file, 8) == 0x1a2b_3c4d else { throw Broken("byte order") }
        var place = 0
        while place < file.count {
            guard place + 12 <= file.count else { throw Broken("half a block at \(place)") }
            let length = Int(Self.word(file, place + 4))
            guard length >= 12, length % 4 == 0, place + length <= file.count else {
                throw Broken("block of \(length) at \(place) of \(file.count)")
            }
            guard Self.word(file, place + length - 4) == UInt32(length) else {
                throw Broken("the lengths of the block at \(place) differ")
            }
            let body = Array(file[place + 8..<place + length - 4])
            switch Self.word(file, place) {
            case 0x0a0d_0d0a where place == 0: try section(body)
            case 1: try interface(body)
            case 6: try packet(body)
            case let type: throw Broken("block of type \(type)")
            }
            place += length
        }
    }

    private mutating func section(_ body: [UInt8]) throws {
        guard Self.half(body, 4) == 1, Self.half(body, 6) == 0 else { throw Broken("version") }
        for (code, value) in try Self.options(body, from: 16) where code == 4 {
            program = String(decoding: value, as: UTF8.self)
        }
    }

    private mutating func interface(_ body: [UInt8]) throws {
        var interface = Interface(
            linkType: Self.half(body, 0), snapLength: Self.word(body, 4))
        for (code, value) in try Self.options(body, from: 8) {
            if code == 2 { interface.name = String(decoding: value, as: UTF8.self) }
            if code == 9 { interface.timeResolution = value.first }
        }
        interfaces.append(interface)
    }

    private mutating func packet(_ body: [UInt8]) throws {
        let interface = Int(Self.word(body, 0))
        guard body.count >= 20, interface < interfaces.count else { throw Broken("interface") }
        let time = UInt64(Self.word(body, 4)) << 32 | UInt64(Self.word(body, 8))
        let count = Int(Self.word(body, 12))
        guard Self.word(body, 16) == UInt32(count), 20 + count <= body.count else {
            throw Broken("packet of \(count)")
        }
        var direction: UInt32 = 0
        for (code, value) in try Self.options(body, from: 20 + (count + 3) / 4 * 4) where code == 2
        {
            direction = Self.word(value, 0)
        }
        let bytes = Array(body[20..<20 + count])
        packets.append(
            Packet(
                time: time, bytes: bytes, direction: direction, interface: interface))
    }

    private static func options(_ body: [UInt8], from start: Int) throws -> [(UInt16, [UInt8])] {
        var options: [(UInt16, [UInt8])] = []
        var place = start
        while place < body.count {
            let code = half(body, place)
            let length = Int(half(body, place + 2))
            guard place + 4 + length <= body.count else { throw Broken("option \(code)") }
            if code == 0 {
                guard place + 4 == body.count else { throw Broken("bytes after the options") }
                return options
            }
            options.append((code, Array(body[place + 4..<place + 4 + length])))
            place += 4 + (length + 3) / 4 * 4
        }
        throw Broken("options without an end")
    }

    private static func word(_ bytes: [UInt8], _ place: Int) -> UInt32 {
        guard place >= 0, place + 4 <= bytes.count else { return 0 }
        return (0..<4).reduce(0) { $0 | UInt32(bytes[place + $1]) << UInt32(8 * $1) }
    }

    private static func half(_ bytes: [UInt8], _ place: Int) -> UInt16 {
        guard place >= 0, place + 2 <= bytes.count else { return 0 }
        return UInt16(bytes[place]) | UInt16(bytes[place + 1]) << 8
    }
}
