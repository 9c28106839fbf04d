import Host
import Testing
import VhostUserServer
import VirtioNet
import VirtioSpec

@testable import VhostUserFrontend

@Suite("The front-end hears that the configuration space has changed")
struct BackendChannelTests {
    /// BACKEND_CONFIG_CHANGE_MSG: no reply is asked for.
    static let change = FrontendConnection.Message(request: 2, flags: 1, payload: [])

    @Test("It comes without a wish for an answer")
    func told() throws {
        let backend = try NetBackend(.null)
        let driver = try backend.driver()
        let requests = try driver.connection.openBackendRequests()
        for _ in 0..<3 {
            backend.changes.changed()
            #expect(try requests.receive() == Self.change)
        }
        #expect(!requests.isClosed)
    }

    @Test("A full socket holds up nobody, and one message tells of all that did not fit")
    func full() throws {
        let backend = try NetBackend(.null)
        let driver = try backend.driver()
        let room = try Self.room()
        let pair = try UnixSocket.pair()
        try driver.connection.tell(
            .setBackendRequestFD, descriptors: [pair.other.descriptor.raw])
        let requests = FrontendConnection(pair.one)
        for _ in 0..<room + 100 {
            backend.changes.changed()
            // Answered after the change was looked at.
            #expect(driver.connection.isAlive())
        }
        for _ in 0...room { #expect(try requests.receive() == Self.change) }
        for _ in 0..<2 { #expect(driver.connection.isAlive()) }
        #expect(!requests.isClosed)
        backend.changes.changed()
        #expect(try requests.receive() == Self.change)
    }

    /// How many messages of 12 bytes one socket takes whose other end nobody reads.
    private static func room() throws -> Int {
        let pair = try UnixSocket.pair()
        let message = [UInt8](repeating: 0, count: 12)
        var count = 0
        while try pair.other.send(message.span) != nil { count += 1 }
        return count
    }

    @Test(
        "Nothing is said to a front-end that has not agreed to both features",
        arguments: [ProtocolFeatures.config, .backendRequests])
    func notAgreed(without feature: ProtocolFeatures) throws {
        let backend = try NetBackend(.null)
        let driver = try backend.driver {
            $0.protocolFeatures = ProtocolFeatures.max.subtracting([.status, feature])
        }
        guard feature != .backendRequests else {
            #expect(throws: FrontendError.refused(21, 1)) {
                _ = try driver.connection.openBackendRequests()
            }
            return
        }
        let requests = try driver.connection.openBackendRequests()
        backend.changes.changed()
        for _ in 0..<3 { #expect(driver.connection.isAlive()) }
        #expect(!requests.isClosed)
    }

    @Test("While no ring runs nothing is said; it is made up for when one does")
    func suspended() throws {
        let backend = try NetBackend(.null)
        let driver = try backend.driver()
        let requests = try driver.connection.openBackendRequests()
        let bases = try driver.stop()
        backend.changes.changed()
        for _ in 0..<3 { #expect(driver.connection.isAlive()) }
        #expect(!requests.isClosed)
        try driver.start(1, base: bases[1])
        #expect(try requests.receive() == Self.change)
    }

    @Test("A change before there is a socket for it is told on that")
    func early() throws {
        let backend = try NetBackend(.null)
        let driver = try backend.driver()
        backend.changes.changed()
        #expect(driver.connection.isAlive())
        #expect(try driver.connection.openBackendRequests().receive() == Self.change)
    }

    @Test("The next front-end reads the space as it is: it hears of later changes only")
    func nextSession() throws {
        let backend = try NetBackend(.null)
        try { _ = try backend.driver() }()
        backend.changes.changed()
        let driver = try backend.driver()
        let requests = try driver.connection.openBackendRequests()
        for _ in 0..<2 { #expect(driver.connection.isAlive()) }
        #expect(!requests.isClosed)
    }

    @Test("Answers that nobody asked for are dropped, descriptors and all")
    func answers() throws {
        let backend = try NetBackend(.null)
        let driver = try backend.driver()
        let requests = try driver.connection.openBackendRequests()
        let watched = Watched()
        try watched.give { raw in
            try requests.send(2, flags: 4, Bytes.of(UInt64(0)), descriptors: [raw])
        }
        // More than a socket holds: it is read, or this would never end.
        for _ in 0..<100 { try requests.send(2, flags: 4, [UInt8](repeating: 7, count: 16_000)) }
        #expect(soon { watched.isLetGo })
        backend.changes.changed()
        #expect(try requests.receive() == Self.change)
    }

    @Test("One that the front-end closes is forgotten, and another takes its place")
    func closed() throws {
        let backend = try NetBackend(.null)
        let driver = try backend.driver()
        try { _ = try driver.connection.openBackendRequests() }()
        backend.changes.changed()
        for _ in 0..<3 { #expect(driver.connection.isAlive()) }
        let first = try driver.connection.openBackendRequests()
        #expect(try first.receive() == Self.change)
        let second = try driver.connection.openBackendRequests()
        try first.waitForClose()
        backend.changes.changed()
        #expect(try second.receive() == Self.change)
    }

    @Test(
        "What is no socket is refused",
        arguments: [TestFiles.Kind.memory, .pipe, .directory, .null])
    func noSocket(kind: TestFiles.Kind) throws {
        let backend = try NetBackend(.null)
        let driver = try backend.driver()
        let files = try TestFiles()
        #expect(throws: FrontendError.refused(21, 1)) {
            try driver.connection.tell(.setBackendRequestFD, descriptors: [files.raw(kind)])
        }
        #expect(driver.connection.isAlive())
    }

    @Test("The end of a front-end is seen that has given us its own end of the connection")
    func ownEnd() throws {
        let backend = try NetBackend(.null)
        try {
            let socket = try UnixSocket.connect(path: backend.path)
            let own = socket.descriptor.raw
            let connection = FrontendConnection(socket)
            try connection.negotiate()
            #expect(throws: FrontendError.refused(21, 1)) {
                try connection.tell(.setBackendRequestFD, descriptors: [own])
            }
            // Nor one that waits for its turn.
            let another = try UnixSocket.connect(path: backend.path)
            #expect(throws: FrontendError.refused(21, 1)) {
                try connection.tell(
                    .setBackendRequestFD, descriptors: [another.descriptor.raw])
            }
        }()
        #expect(try backend.driver().connection.isAlive())
    }

    @Test("So it is on a connection that has no name")
    func ownEndOfPair() throws {
        let pair = try UnixSocket.pair()
        let own = pair.other.descriptor.raw
        let backend = try NetBackend(.null, on: pair.one)
        var connection: FrontendConnection? = FrontendConnection(pair.other)
        try connection?.negotiate()
        #expect(throws: FrontendError.refused(21, 1)) {
            try connection?.tell(.setBackendRequestFD, descriptors: [own])
        }
        _ = try connection?.openBackendRequests()
        connection = nil
        backend.join()
    }
}
