import CLinux
import Glibc
import Host

/// Why a network of one's own is not to be had, or a command in it failed.
public struct NamespaceFault: Error, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}

/// A network of the test's own, on the thread that it runs on: nothing in it is the host's.
public enum Namespace {
    /// Runs `body`, which must not wait for other tasks, with no interface but `lo`. Needs root.
    public static func own(_ body: () throws -> Void) throws {
        let before = try File.open("/proc/thread-self/ns/net", [])
        guard unshare(CLONE_NEWNET) == 0 else {
            throw NamespaceFault("\(SystemError.last("unshare")): run tests as root")
        }
        defer { precondition(setns(before.raw, CLONE_NEWNET) == 0) }
        try body()
    }

    /// The same without CAP_NET_ADMIN, as any user's process is.
    public static func withoutAdministration(_ body: () throws -> Void) throws {
        var header: (UInt32, Int32) = (0x2008_0522, 0)
        var sets = [UInt32](repeating: 0, count: 6)
        guard unsafe capget(&header, &sets) == 0 else { throw SystemError.last("capget") }
        var fewer = sets
        fewer[0] &= ~(1 << 12)
        guard unsafe capset(&header, &fewer) == 0 else { throw SystemError.last("capset") }
        defer { precondition(unsafe capset(&header, &sets) == 0) }
        try body()
    }
}

// Of one thread, with the effective set first; the C library has them, and no header for them.
@_silgen_name("capget")
private func capget(
    _ header: UnsafeMutablePointer<(UInt32, Int32)>, _ sets: UnsafeMutablePointer<UInt32>
) -> Int32
@_silgen_name("capset")
private func capset(
    _ header: UnsafeMutablePointer<(UInt32, Int32)>, _ sets: UnsafeMutablePointer<UInt32>
) -> Int32

/// Gives the interface the host's address, and makes the guest known to it.
public func address(_ name: String) throws {
    try run("ip address add 10.9.0.1/24 dev \(name)")
    try run("ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 nud permanent dev \(name)")
}

/// Runs a command in the thread's own namespace; Foundation would start threads in it.
public func run(_ command: String) throws {
    let words = command.split(separator: " ").map(String.init)
    var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
    defer { unsafe arguments.forEach { unsafe free($0) } }
    var process = pid_t()
    let started = unsafe posix_spawnp(&process, words[0], nil, nil, &arguments, Glibc.environ)
    guard started == 0 else {
        throw SystemError("\(words[0]) (tools/setup installs it)", started)
    }
    var status: Int32 = 0
    let ended = unsafe waitpid(process, &status, 0)
    guard ended == process, status == 0 else {
        throw NamespaceFault("\(command): status \(status)")
    }
}

/// Waits for input on `descriptor`; false after ten seconds without any.
public func waits(for descriptor: Int32) -> Bool {
    var set = PollSet()
    set.add(descriptor)
    return set.wait(milliseconds: 10_000) > 0
}
