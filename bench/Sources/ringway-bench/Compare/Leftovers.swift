import Foundation
import Synchronization

/// What must not outlive this process: its children and its large files.
enum Leftovers {
    private struct State {
        var children: Set<pid_t> = []
        var paths: [String] = []
        var undo: [@Sendable () -> Void] = []
        var isClosed = false
    }

    private static let state = Mutex(State())

    /// Runs `start`, and keeps the child it returns in mind; refuses once all is cleared away.
    static func adopt(_ start: () throws -> pid_t) throws -> pid_t {
        try state.withLock { state in
            guard !state.isClosed else { throw BenchError("interrupted") }
            let pid = try start()
            state.children.insert(pid)
            return pid
        }
    }

    /// Forgets a child that has been reaped.
    static func release(_ pid: pid_t) {
        state.withLock { _ = $0.children.remove(pid) }
    }

    /// Removes the file or folder at the end, whatever the end is.
    static func keepInMind(path: String) {
        state.withLock { $0.paths.append(path) }
    }

    /// Calls `undo` at the end, whatever the end is, once the children are gone.
    static func keepInMind(_ undo: @escaping @Sendable () -> Void) {
        state.withLock { $0.undo.append(undo) }
    }

    /// Kills the children that still run, and removes the files.
    static func clear() {
        state.withLock { state in
            state.isClosed = true
            for pid in state.children { kill(pid, SIGKILL) }
            for path in state.paths { try? FileManager.default.removeItem(atPath: path) }
            for undo in state.undo { undo() }
            state.children = []
            state.paths = []
            state.undo = []
        }
    }

    /// From now on SIGINT, SIGTERM and SIGHUP clear everything away and end this process.
    /// To be called before any other thread is started.
    static func clearOnSignals() {
        signal(SIGPIPE, SIG_IGN)
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in [SIGINT, SIGTERM, SIGHUP] { unsafe sigaddset(&set, signal) }
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
        Thread.detachNewThread {
            var awaited = sigset_t()
            unsafe sigemptyset(&awaited)
            for signal in [SIGINT, SIGTERM, SIGHUP] { unsafe sigaddset(&awaited, signal) }
            var number: Int32 = 0
            while unsafe sigwait(&awaited, &number) != 0 {}
            clear()
            CompareProgress.say("interrupted; all is cleared away")
            _exit(128 + number)
        }
    }
}
