import class Foundation.FileManager
import func Foundation.NSTemporaryDirectory
import class Foundation.Pipe
import class Foundation.Process
import struct Foundation.URL
import struct Foundation.UUID

/// A tmpfs of a few bytes, mounted for the test: a disk that is soon full. Needs root.
final class SmallFileSystem {
    let path: String

    init(bytes: Int) throws {
        path = NSTemporaryDirectory() + "ringway-" + UUID().uuidString.prefix(8)
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/mount")
        process.arguments = ["-t", "tmpfs", "-o", "size=\(bytes)", "ringway-test", path]
        _ = try output(of: process)
    }

    deinit {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/umount")
        process.arguments = ["--lazy", path]
        _ = try? output(of: process)
        try? FileManager.default.removeItem(atPath: path)
    }
}

struct CommandFailed: Error, CustomStringConvertible {
    let description: String
}

/// Runs a command and returns what it printed, without the line's end.
func output(of process: Process) throws -> String {
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let text = String(decoding: data, as: UTF8.self)
    guard process.terminationStatus == 0 else {
        let name = process.executableURL?.path ?? ""
        throw CommandFailed(description: "\(name): status \(process.terminationStatus); root?")
    }
    return text.split(separator: "\n").first.map(String.init) ?? ""
}
