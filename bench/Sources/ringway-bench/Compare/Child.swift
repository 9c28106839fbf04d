import Foundation
import Synchronization

/// A process that measures or is measured: in a session of its own, pinned to one processor, and
/// killed by the kernel if this process goes first.
final class Child: Sendable {
    let pid: pid_t
    /// Whether the scheduler's group of the session could be raised over other sessions' groups.
    let isRaised: Bool
    private let status = Mutex<Int32?>(nil)

    /// - Parameters:
    ///   - words: the program, looked up in PATH, and its arguments.
    ///   - cpu: the one processor it may use; nil for any.
    ///   - input: the file for standard input, `output` for standard output, `errors` for standard
    ///     error.
    /// - Throws: ``BenchError`` where it can't be started, or all is being cleared away.
    init(
        _ words: [String], cpu: Int?, input: String = "/dev/null", output: String, errors: String
    ) throws {
        let pinned = cpu.map { ["taskset", "-c", "\($0)"] } ?? []
        let wrapped = ["setpriv", "--pdeathsig", "KILL"] + pinned + words
        pid = try Leftovers.adopt {
            try spawn(wrapped, input: input, output: output, errors: errors)
        }
        // Every session is a scheduling group of its own, so niceness within it protects nothing.
        let group = FileHandle(forWritingAtPath: "/proc/\(pid)/autogroup")
        isRaised = (try? group?.write(contentsOf: Data("-20".utf8))) != nil
    }

    /// Whether it has not ended yet.
    var isAlive: Bool {
        status.withLock { status in
            if status == nil { status = reap(pid, options: WNOHANG) }
            return status == nil
        }
    }

    /// Stops it where it is, as if its processor had been taken away, until `resume` or `kill`.
    func suspend() { send(SIGSTOP) }

    func resume() { send(SIGCONT) }

    /// Waits for the end, at most `seconds`; whoever takes longer is killed.
    /// - Returns: the exit status; nil where a signal ended it.
    func wait(atMost seconds: Double) -> Int32? {
        DispatchQueue.global().asyncAfter(deadline: .now() + seconds) { self.send(SIGKILL) }
        awaitEnd(of: pid)
        return status.withLock { status in
            if status == nil { status = reap(pid, options: 0) }
            Leftovers.release(pid)
            let ended = status ?? -1
            return ended & 0x7f == 0 ? (ended >> 8) & 0xff : nil
        }
    }

    /// Ends it: with SIGTERM first, so that it leaves nothing behind.
    func end() {
        send(SIGTERM)
        send(SIGCONT)
        _ = wait(atMost: 2)
    }

    func kill() {
        send(SIGKILL)
        _ = wait(atMost: 2)
    }

    private func send(_ signal: Int32) {
        status.withLock { status in
            if status == nil { _ = Foundation.kill(pid, signal) }
        }
    }
}

private func reap(_ pid: pid_t, options: Int32) -> Int32? {
    var status: Int32 = 0
    return unsafe waitpid(pid, &status, options) == pid ? status : nil
}

/// Returns once the process has ended, and leaves it to be reaped: its number stays taken.
private func awaitEnd(of pid: pid_t) {
    var info = unsafe siginfo_t()
    while unsafe waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) != 0, errno == EINTR {}
}

private func spawn(
    _ words: [String], input: String, output: String, errors: String
) throws -> pid_t {
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    // A pipe's other end stays open with both here.
    unsafe posix_spawn_file_actions_addopen(&actions, 0, input, O_RDWR, 0)
    let fresh = O_WRONLY | O_CREAT | O_TRUNC
    unsafe posix_spawn_file_actions_addopen(&actions, 1, output, fresh, 0o644)
    unsafe posix_spawn_file_actions_addopen(&actions, 2, errors, fresh, 0o644)

    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    // This process blocks or ignores the signals that end it; no child may inherit that.
    var none = sigset_t()
    unsafe sigemptyset(&none)
    unsafe posix_spawnattr_setsigmask(&attributes, &none)
    var pipe = sigset_t()
    unsafe sigemptyset(&pipe)
    unsafe sigaddset(&pipe, SIGPIPE)
    unsafe posix_spawnattr_setsigdefault(&attributes, &pipe)
    let newSession = 0x80
    unsafe posix_spawnattr_setflags(
        &attributes, Int16(newSession | Int(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)))

    let environment = ProcessInfo.processInfo.environment.map { "\($0.key)=\($0.value)" }
    var argv = unsafe words.map { unsafe strdup($0) } + [nil]
    var envp = unsafe environment.map { unsafe strdup($0) } + [nil]
    defer { unsafe (argv + envp).forEach { unsafe free($0) } }
    var pid: pid_t = 0
    let code = unsafe posix_spawnp(&pid, words[0], &actions, &attributes, &argv, &envp)
    guard code == 0 else {
        throw BenchError("\(words[0]) can't be started: \(CocoaError.text(of: code))")
    }
    return pid
}

extension CocoaError {
    /// The system's words for an error number.
    fileprivate static func text(of code: Int32) -> String {
        POSIXErrorCode(rawValue: code).map { POSIXError($0).localizedDescription }
            ?? "error \(code)"
    }
}
