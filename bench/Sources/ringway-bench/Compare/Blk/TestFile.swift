import Foundation

/// A file for back-ends to serve, removed at the end.
enum TestFile {
    static let chunk = 4 << 20

    /// Fills a file with bytes that are not zero, so that no file system leaves a hole.
    /// - Throws: ``BenchError`` where there is no room for it and a tenth more.
    static func make(at path: String, byteCount: Int) throws {
        let folder = (path as NSString).deletingLastPathComponent
        let free =
            try FileManager.default.attributesOfFileSystem(forPath: folder)[.systemFreeSize]
            as? NSNumber
        guard let free, free.intValue > byteCount + byteCount / 10 else {
            throw BenchError(
                "\(folder) has \((free?.intValue ?? 0) >> 20) MiB free; \(byteCount >> 20) MiB"
                    + " and some more are needed (--file-size, --dir)")
        }
        Leftovers.keepInMind(path: path)
        guard FileManager.default.createFile(atPath: path, contents: nil),
            let file = FileHandle(forWritingAtPath: path)
        else { throw BenchError("\(path) can't be made") }
        var state: UInt64 = 0x9e37_79b9_7f4a_7c15
        var words = [UInt64](repeating: 0, count: chunk / 8)
        var done = 0
        while done < byteCount {
            for index in words.indices {
                state ^= state << 13
                state ^= state >> 7
                state ^= state << 17
                words[index] = state
            }
            let block = unsafe words.withUnsafeBytes { unsafe Data($0) }
            try file.write(contentsOf: block.prefix(byteCount - done))
            done += min(chunk, byteCount - done)
        }
        try file.synchronize()
        try file.close()
    }

    /// Reads the file once, so that the page cache holds it.
    static func read(_ path: String) throws {
        guard let file = FileHandle(forReadingAtPath: path) else {
            throw BenchError("\(path) can't be read")
        }
        while let data = try file.read(upToCount: chunk), !data.isEmpty {}
        try file.close()
    }

    /// Writes back what a window has left, so that the next one does not pay for it.
    static func settle(_ path: String) throws {
        guard let file = FileHandle(forUpdatingAtPath: path) else {
            throw BenchError("\(path) can't be opened")
        }
        try file.synchronize()
        try file.close()
    }
}
