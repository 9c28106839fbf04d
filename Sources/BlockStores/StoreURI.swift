/// What `--store` names: raw:PATH, memory:SIZE or null:SIZE.
public enum StoreURI: Equatable, Sendable {
    case raw(String)
    case memory(UInt64)
    case null(UInt64)

    /// Nil where the text is none of these.
    public init?(_ text: String) {
        guard let colon = text.firstIndex(of: ":") else { return nil }
        let rest = String(text[text.index(after: colon)...])
        switch text[..<colon] {
        case "raw" where !rest.isEmpty: self = .raw(rest)
        case "memory":
            guard let bytes = ByteSize(rest)?.bytes else { return nil }
            self = .memory(bytes)
        case "null":
            guard let bytes = ByteSize(rest)?.bytes else { return nil }
            self = .null(bytes)
        default: return nil
        }
    }
}

/// A size as people write it: 4096, 64K, 512M, 1G, 1T.
public struct ByteSize: Equatable, Sendable, CustomStringConvertible {
    public let bytes: UInt64

    public init(bytes: UInt64) { self.bytes = bytes }

    /// Nil where the text is no such size, is zero, or does not fit.
    public init?(_ text: String) {
        var digits = Substring(text)
        var shift: UInt64 = 0
        if let last = digits.last, let place = "KMGTP".firstIndex(of: Character(last.uppercased()))
        {
            shift = UInt64("KMGTP".distance(from: "KMGTP".startIndex, to: place) + 1) * 10
            digits = digits.dropLast()
        }
        guard digits.allSatisfy({ $0.isASCII && $0.isNumber }), let number = UInt64(digits),
            number > 0
        else { return nil }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: 1 << shift)
        guard !overflow, bytes <= UInt64(Int64.max) else { return nil }
        self.bytes = bytes
    }

    /// "4 TiB", "1.5 GiB": the unit that reads best, one digit after the point where it is needed.
    public var description: String {
        let units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        var unit = 0
        var scale: UInt64 = 1
        while unit < 6, bytes / scale >= 1024 {
            scale *= 1024
            unit += 1
        }
        let tenths = unit == 0 ? 0 : bytes % scale * 10 / scale
        return tenths == 0
            ? "\(bytes / scale) \(units[unit])" : "\(bytes / scale).\(tenths) \(units[unit])"
    }
}
