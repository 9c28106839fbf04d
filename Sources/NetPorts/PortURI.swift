import VirtioSpec

/// What `--port` names: tap:NAME, tapfd:N, passt:SOCKET, null:, copy:, loopback: or
/// generate:BYTES.
public enum PortURI: Equatable, Sendable, CustomStringConvertible {
    case tap(String)
    /// Descriptors handed to us, one for each queue pair: tapfd:5, tapfd:5,6.
    case tapDescriptors([Int32])
    /// The path of passt's socket.
    case passt(String)
    /// Takes everything, gives nothing.
    case null
    /// Takes everything into memory of its own, gives nothing.
    case copy
    /// Gives back what it takes.
    case loopback
    /// Gives packets of so many bytes without end, and takes everything.
    case generate(Int)

    /// Nil where the text is none of these.
    public init?(_ text: String) {
        guard let colon = text.firstIndex(of: ":") else { return nil }
        let rest = String(text[text.index(after: colon)...])
        switch text[..<colon] {
        case "tap" where Self.isInterface(rest): self = .tap(rest)
        case "tapfd":
            guard let descriptors = Self.descriptors(rest) else { return nil }
            self = .tapDescriptors(descriptors)
        case "passt" where !rest.isEmpty: self = .passt(rest)
        case "null" where rest.isEmpty: self = .null
        case "copy" where rest.isEmpty: self = .copy
        case "loopback" where rest.isEmpty: self = .loopback
        case "generate":
            guard let bytes = Self.number(rest),
                bytes >= NetLayout.ethernetBytes, bytes <= NetLayout.largestPacket
            else { return nil }
            self = .generate(Int(bytes))
        default: return nil
        }
    }

    public var description: String {
        switch self {
        case .tap(let name): "tap:" + name
        case .tapDescriptors(let numbers):
            "tapfd:" + numbers.map(String.init).joined(separator: ",")
        case .passt(let path): "passt:" + path
        case .null: "null:"
        case .copy: "copy:"
        case .loopback: "loopback:"
        case .generate(let bytes): "generate:\(bytes)"
        }
    }

    /// A name that Linux takes for an interface: 1 to 15 bytes, and in them no slash, colon or space.
    private static func isInterface(_ name: String) -> Bool {
        guard 1...15 ~= name.utf8.count, name != ".", name != ".." else { return false }
        return name.utf8.allSatisfy { 0x21...0x7e ~= $0 && $0 != 0x2f && $0 != 0x3a }
    }

    private static func descriptors(_ text: String) -> [Int32]? {
        var numbers: [Int32] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let number = number(part), !numbers.contains(number) else { return nil }
            numbers.append(number)
        }
        return numbers
    }

    /// Digits alone: no sign, no space.
    private static func number(_ text: some StringProtocol) -> Int32? {
        guard text.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else { return nil }
        return Int32(text)
    }
}
