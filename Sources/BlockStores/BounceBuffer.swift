import Host

/// Direct I/O for requests that are not aligned as the host's device wants it, which guests need not
/// know: through a buffer that is, in pieces, at once. Slow, and rare: boot firmware and old drivers.
struct BounceBuffer: ~Copyable {
    private let store: RawStore
    private let memory: Mapping
    private let bytes: Int

    init(_ store: RawStore) throws(SystemError) {
        self.store = store
        bytes = max(256 << 10, store.offsetAlignment)
        memory = try Mapping.anonymous(count: bytes)
    }

    mutating func transfer(
        _ request: StoreRequest, _ buffers: borrowing IOVectors
    ) -> StoreOutcome {
        let unit = UInt64(max(store.offsetAlignment, 512))
        var done: UInt64 = 0
        do throws(SystemError) {
            while done < request.count {
                let offset = request.offset + done
                let start = offset / unit * unit
                let room = start + UInt64(bytes) - offset
                let count = min(room, request.count - done)
                let end = (offset + count + unit - 1) / unit * unit
                let piece = Piece(
                    start: start, bytes: Int(end - start), inner: Int(offset - start),
                    count: Int(count), done: Int(done))
                if request.kind == .read {
                    try read(piece, buffers)
                } else {
                    try write(piece, buffers)
                }
                done += count
            }
            if request.kind == .write, request.isDurable { try File.synchronize(store.file) }
        } catch { return .failed(error.code) }
        return .ok
    }

    /// An aligned stretch of the file and the bytes of the request that lie in it.
    private struct Piece {
        let start: UInt64
        let bytes: Int
        let inner: Int
        let count: Int
        let done: Int

        var isWhole: Bool { inner == 0 && count == bytes }
    }

    private func read(_ piece: Piece, _ buffers: borrowing IOVectors) throws(SystemError) {
        let got = try File.read(
            store.file, at: piece.start, into: memory, at: 0, count: piece.bytes)
        guard got >= piece.inner + piece.count else {
            throw SystemError("pread", SystemErrorCode.ioError)
        }
        buffers.fill(at: piece.done, from: memory, at: piece.inner, count: piece.count)
    }

    private func write(_ piece: Piece, _ buffers: borrowing IOVectors) throws(SystemError) {
        guard !piece.isWhole else {
            buffers.drain(at: piece.done, into: memory, at: 0, count: piece.count)
            return try File.write(
                store.file, at: piece.start, from: memory, at: 0, count: piece.bytes)
        }
        try store.partialBlocks.take { () throws(SystemError) in
            let got = try File.read(
                store.file, at: piece.start, into: memory, at: 0, count: piece.bytes)
            guard got >= piece.inner + piece.count else {
                throw SystemError("pread", SystemErrorCode.ioError)
            }
            buffers.drain(at: piece.done, into: memory, at: piece.inner, count: piece.count)
            try File.write(store.file, at: piece.start, from: memory, at: 0, count: got)
        }
    }
}
