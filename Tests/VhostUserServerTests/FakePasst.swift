import Host
import Testing

import func Foundation.NSTemporaryDirectory
import struct Foundation.UUID

/// A passt that a test makes: the socket that it listens at.
final class FakePasst {
    let path: String
    private let listener: UnixListener

    static func freshPath() -> String {
        NSTemporaryDirectory() + "ringway-\(UUID().uuidString.prefix(8)).passt"
    }

    init(path: String = freshPath()) throws {
        self.path = path
        listener = try UnixListener(path: path)
    }

    /// The next connection to it.
    func accept() throws -> Link {
        while true {
            var set = PollSet()
            set.add(listener.descriptor.raw)
            try #require(set.wait(milliseconds: 10_000) > 0)
            if let socket = try listener.accept() { return Link(socket) }
        }
    }

    final class Link {
        private let socket: UnixSocket

        init(_ socket: consuming UnixSocket) { self.socket = socket }

        func receive(_ count: Int) throws -> [UInt8] {
            var bytes: [UInt8] = []
            while bytes.count < count {
                var set = PollSet()
                set.add(socket.descriptor.raw)
                try #require(set.wait(milliseconds: 10_000) > 0)
                var piece = [UInt8](repeating: 0, count: count - bytes.count)
                var span = piece.mutableSpan
                var descriptors = ReceivedFDs()
                let got = try socket.receive(into: &span, descriptors: &descriptors) ?? 0
                bytes += piece.prefix(got)
                try #require(got > 0)
            }
            return bytes
        }
    }
}
