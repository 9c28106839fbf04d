import CLinux

/// A network interface of the thread's own network namespace, by name.
public enum Interface {
    public static func exists(_ name: String) -> Bool { (try? flags(name)) != nil }

    public static func isUp(_ name: String) -> Bool {
        ((try? flags(name)) ?? 0) & Int32(IFF_UP) != 0
    }

    /// Needs CAP_NET_ADMIN, unless it is up already.
    public static func setUp(_ name: String) throws(SystemError) {
        let now = try flags(name)
        let up = Int32(IFF_UP)
        if now & up != 0 { return }
        try ask("SIOCSIFFLAGS", name) { socket, name in
            unsafe clinux_interface_set_flags(socket, name, Int16(truncatingIfNeeded: now | up))
        }
    }

    /// Bytes of the largest packet, without its Ethernet header.
    public static func mtu(_ name: String) throws(SystemError) -> Int {
        var bytes: Int32 = 0
        try ask("SIOCGIFMTU", name) { unsafe clinux_interface_mtu($0, $1, &bytes) }
        return Int(bytes)
    }

    /// Needs CAP_NET_ADMIN.
    public static func setMTU(_ name: String, _ bytes: Int) throws(SystemError) {
        try ask("SIOCSIFMTU", name) {
            unsafe clinux_interface_set_mtu($0, $1, Int32(clamping: bytes))
        }
    }

    private static func flags(_ name: String) throws(SystemError) -> Int32 {
        var flags: Int16 = 0
        try ask("SIOCGIFFLAGS", name) { unsafe clinux_interface_flags($0, $1, &flags) }
        return Int32(UInt16(bitPattern: flags))
    }

    private static func ask(
        _ call: String, _ name: String, _ body: (Int32, [CChar]) -> Int32
    ) throws(SystemError) {
        guard let bytes = InterfaceName(name)?.bytes else { throw SystemError(call, ENODEV) }
        // Any socket will do; a Unix one is there even where a host has no IPv4.
        let raw = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard raw >= 0 else { throw .last("socket") }
        let socket = OwnedFD(adopting: raw)
        let result = body(socket.raw, bytes)
        guard result == 0 else { throw SystemError(call, -result) }
    }
}

/// An interface's name as the kernel wants it: IFNAMSIZ bytes, a zero at the end.
struct InterfaceName {
    static let empty = [CChar](repeating: 0, count: Int(IFNAMSIZ))
    let bytes: [CChar]

    init?(_ name: String) {
        let text = name.utf8.map { CChar(bitPattern: $0) }
        guard !text.isEmpty, text.count < Self.empty.count, !text.contains(0) else { return nil }
        bytes = text + Self.empty.dropFirst(text.count)
    }

    static func text(_ bytes: [CChar]) -> String {
        String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
