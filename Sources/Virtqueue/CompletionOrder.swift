import Host

/// With IN_ORDER, chains go back in the order in which they were made available (virtio 1.3 §2.7.9):
/// those done early wait here for the ones before them.
@frozen
@usableFromInline
struct CompletionOrder: ~Copyable {
    // By the order of taking, free-running and masked; then by head, the bytes written once done.
    private var heads: Table<UInt16>
    private var written: Table<UInt32?>
    private var first = 0
    private var end = 0
    private let mask: Int

    /// - Parameter size: chains in flight at most; heads are below it.
    init(size: UInt16) {
        var room = 1
        while room < Int(size) { room *= 2 }
        mask = room - 1
        heads = Table(count: room) { _ in 0 }
        written = Table(count: Int(size)) { _ in nil }
    }

    mutating func take(_ head: UInt16) {
        heads[end & mask] = head
        end += 1
    }

    /// Undoes the last `take`.
    @usableFromInline
    mutating func untake() { end -= 1 }

    mutating func finish(_ head: UInt16, written bytes: UInt32) { written[Int(head)] = bytes }

    /// The next chain that may go back, if it is done.
    mutating func next() -> (head: UInt16, written: UInt32)? {
        guard first != end else { return nil }
        let head = heads[first & mask]
        guard let bytes = written[Int(head)] else { return nil }
        written[Int(head)] = nil
        first += 1
        return (head, bytes)
    }
}
