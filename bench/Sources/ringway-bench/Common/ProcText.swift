import Foundation

/// A file of /proc, whole; nil where it can't be read. The kernel gives a long one in pieces, after
/// each of which Foundation's own readers take it to be at its end.
func procText(_ path: String) -> String? {
    guard let file = FileHandle(forReadingAtPath: path) else { return nil }
    var text = Data()
    while let piece = try? file.read(upToCount: 1 << 16), !piece.isEmpty { text += piece }
    return String(decoding: text, as: UTF8.self)
}
