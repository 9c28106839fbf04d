import Foundation
import Testing

/// The built ringway-blk, run as a user runs it.
final class Program: Sendable {
    struct Ended: Sendable {
        let status: Int32
        let output: String
        let errors: String

        /// The lines of standard error.
        var errorLines: [Substring] { errors.split(separator: "\n") }
    }

    private let process: Process
    // Not a Mutex: where two threads contend for one, the thread sanitizer sees no order between them.
    private let lock = NSLock()
    nonisolated(unsafe) private var printed = (output: "", errors: "")
    private let readers = DispatchGroup()
    private let changed = DispatchSemaphore(value: 0)

    /// Beside the test bundle, where the package manager puts all it builds.
    static var path: String {
        let bundle = URL(fileURLWithPath: CommandLine.arguments[0])
        let folder = bundle.deletingLastPathComponent()
        for place in [folder, Bundle.main.bundleURL] {
            let candidate = place.appendingPathComponent("ringway-blk").path
            if FileManager.default.isExecutableFile(atPath: candidate) { return candidate }
        }
        fatalError("ringway-blk is not beside \(bundle.path): build the package first")
    }

    /// - Parameters:
    ///   - command: a shell command that runs the program as "$@", where it needs one around it.
    ///   - input: the program's standard input.
    init(_ arguments: [String], shell command: String? = nil, input: FileHandle? = nil) throws {
        process = Process()
        let words = [Self.path] + arguments
        if let command {
            process.executableURL = URL(fileURLWithPath: "/bin/sh")
            process.arguments = ["-c", command, "sh"] + words
        } else {
            process.executableURL = URL(fileURLWithPath: words[0])
            process.arguments = arguments
        }
        let output = Pipe()
        let errors = Pipe()
        process.standardOutput = output
        process.standardError = errors
        process.standardInput = input ?? FileHandle.nullDevice
        try process.run()
        collect(output.fileHandleForReading) { $0.output += $1 }
        collect(errors.fileHandleForReading) { $0.errors += $1 }
    }

    var identifier: Int32 { process.processIdentifier }

    private func collect(
        _ handle: FileHandle,
        _ add: @escaping @Sendable (inout (output: String, errors: String), String) -> Void
    ) {
        readers.enter()
        Foundation.Thread.detachNewThread { [self] in
            while case let data = handle.availableData, !data.isEmpty {
                lock.withLock { unsafe add(&printed, String(decoding: data, as: UTF8.self)) }
                changed.signal()
            }
            readers.leave()
            changed.signal()
        }
    }

    /// Waits until the program has printed `text`, on either stream.
    func waitFor(_ text: String, seconds: Double = 20) throws {
        let deadline = DispatchTime.now() + seconds
        while true {
            let (output, errors) = lock.withLock { unsafe printed }
            if output.contains(text) || errors.contains(text) { return }
            guard changed.wait(timeout: deadline) == .success else {
                throw Failure("no \"\(text)\" within \(seconds) s; printed: \(output)\(errors)")
            }
        }
    }

    /// Waits for the program's end.
    func end() -> Ended {
        process.waitUntilExit()
        readers.wait()
        let (output, errors) = lock.withLock { unsafe printed }
        return Ended(status: process.terminationStatus, output: output, errors: errors)
    }

    /// Asks the program to end, and says how long that took in seconds.
    func terminate() -> (Ended, seconds: Double) {
        let start = DispatchTime.now().uptimeNanoseconds
        process.terminate()
        let ended = end()
        return (ended, Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9)
    }

    func kill() -> Ended {
        Foundation.kill(process.processIdentifier, SIGKILL)
        return end()
    }

    /// Runs the program to its end.
    static func run(_ arguments: [String], shell command: String? = nil) throws -> Ended {
        try Program(arguments, shell: command).end()
    }
}

struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A folder of the test's own, removed with it.
final class Folder: Sendable {
    let path: String

    init(in parent: String = NSTemporaryDirectory()) throws {
        path = parent + "/ringway-" + UUID().uuidString.prefix(8)
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    subscript(name: String) -> String { path + "/" + name }

    /// A sparse file of `bytes` bytes.
    func disk(_ name: String = "disk.img", bytes: UInt64 = 1 << 20) throws -> String {
        _ = FileManager.default.createFile(atPath: self[name], contents: nil)
        let handle = try #require(FileHandle(forWritingAtPath: self[name]))
        try handle.truncate(atOffset: bytes)
        try handle.close()
        return self[name]
    }
}
