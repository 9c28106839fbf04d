import Foundation

/// A built program, run as a user runs it.
public final class Program: Sendable {
    public struct Ended: Sendable {
        public let status: Int32
        public let output: String
        public let errors: String

        /// The lines of standard error.
        public var errorLines: [Substring] { errors.split(separator: "\n") }
    }

    private let process: Process
    // Not a Mutex: where two threads contend for one, the thread sanitizer sees no order between them.
    private let lock = NSLock()
    nonisolated(unsafe) private var printed = (output: "", errors: "")
    private let readers = DispatchGroup()
    private let changed = DispatchSemaphore(value: 0)

    /// Beside the test bundle, where the package manager puts all it builds.
    private static func path(_ name: String) -> String {
        let bundle = URL(fileURLWithPath: CommandLine.arguments[0])
        let folder = bundle.deletingLastPathComponent()
        for place in [folder, Bundle.main.bundleURL] {
            let candidate = place.appendingPathComponent(name).path
            if FileManager.default.isExecutableFile(atPath: candidate) { return candidate }
        }
        fatalError("\(name) is not beside \(bundle.path): build the package first")
    }

    /// - Parameters:
    ///   - name: one of the package's executables.
    ///   - command: a shell command that runs the program as "$@", where it needs one around it.
    ///   - input: the program's standard input.
    public init(
        _ name: String, _ arguments: [String], shell command: String? = nil,
        input: FileHandle? = nil
    ) throws {
        process = Process()
        let words = [Self.path(name)] + arguments
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

    public var identifier: Int32 { process.processIdentifier }

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
    public func waitFor(_ text: String, seconds: Double = 20) throws {
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
    public func end() -> Ended {
        process.waitUntilExit()
        readers.wait()
        let (output, errors) = lock.withLock { unsafe printed }
        return Ended(status: process.terminationStatus, output: output, errors: errors)
    }

    /// Asks the program to end, and says how long that took in seconds.
    public func terminate() -> (Ended, seconds: Double) {
        let start = DispatchTime.now().uptimeNanoseconds
        process.terminate()
        let ended = end()
        return (ended, Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9)
    }

    public func kill() -> Ended {
        Foundation.kill(process.processIdentifier, SIGKILL)
        return end()
    }
}

public struct Failure: Error, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}

/// A folder of the test's own, removed with it.
public final class Folder: Sendable {
    public let path: String

    public init(in parent: String = NSTemporaryDirectory()) throws {
        path = parent + "/ringway-" + UUID().uuidString.prefix(8)
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    public subscript(name: String) -> String { path + "/" + name }

    /// What a file holds.
    public func bytes(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: self[name])))
    }

    /// A sparse file of `bytes` bytes.
    public func disk(_ name: String = "disk.img", bytes: UInt64 = 1 << 20) throws -> String {
        _ = FileManager.default.createFile(atPath: self[name], contents: nil)
        guard let handle = FileHandle(forWritingAtPath: self[name]) else {
            throw Failure("\(self[name]) can't be made")
        }
        try handle.truncate(atOffset: bytes)
        try handle.close()
        return self[name]
    }
}
