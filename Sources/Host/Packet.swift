import CLinux

/// Whole packets to and from descriptors, straight between buffers and the kernel.
enum Packet {
    /// Writes the buffers as one packet. Returns its bytes, or errno negated: EMSGSIZE for more
    /// buffers than one call takes, EINVAL for no bytes, which the kernel would take for sent.
    static func write(_ raw: Int32, _ buffers: borrowing IOVectors) -> Int {
        unsafe buffers.withVectors { vectors, count in
            guard count <= IOVectorTable.perCall else { return -Int(EMSGSIZE) }
            guard count > 0 else { return -Int(EINVAL) }
            return unsafe clinux_write_packet(raw, vectors, Int32(count))
        }
    }

    /// Reads one packet into the buffers. Returns its bytes, or errno negated: EMSGSIZE for one that
    /// is longer than the buffers, or needs more of them than one call takes. It is gone then.
    static func read(_ raw: Int32, into buffers: borrowing IOVectors) -> Int {
        // Devices cut what does not fit and don't tell. So there is one byte more.
        var spill: UInt8 = 0
        let room = buffers.byteCount(ofFirst: IOVectorTable.perCall - 2)
        let got = unsafe withUnsafeMutablePointer(to: &spill) { spill in
            let after = unsafe iovec(iov_base: spill, iov_len: 1)
            return unsafe buffers.withPieces(0..<room, before: iovec(), after: after) {
                unsafe clinux_read_packet(raw, $0, Int32($1))
            }
        }
        return got > room ? -Int(EMSGSIZE) : got
    }
}

extension UnixSocket {
    /// Sends `word`, in its bytes' order here, and then the buffers' bytes from `offset` on, as much
    /// as goes now. Returns bytes, those of the word included, or errno negated: EMSGSIZE for more
    /// buffers than one call takes.
    public borrowing func send(
        _ word: UInt32, _ buffers: borrowing IOVectors, from offset: Int
    ) -> Int {
        var word = word
        return unsafe withUnsafeMutablePointer(to: &word) { word in
            let before = unsafe iovec(iov_base: word, iov_len: 4)
            let range = offset..<max(offset, buffers.byteCount)
            return unsafe buffers.withPieces(range, before: before, after: iovec()) {
                unsafe clinux_send_vectors(descriptor.raw, $0, $1)
            }
        }
    }

    /// Sends as much as goes now of `count` bytes of `mapping` at `offset`. Returns bytes, or errno
    /// negated.
    public borrowing func send(_ mapping: Mapping, at offset: Int, count: Int) -> Int {
        mapping.check(offset, count)
        var piece = unsafe iovec(iov_base: mapping.base + offset, iov_len: count)
        return unsafe clinux_send_vectors(descriptor.raw, &piece, 1)
    }

    /// Receives what is there now, `count` bytes at most, into `mapping` at `offset`. Returns bytes,
    /// 0 at the end of the stream, or errno negated.
    public borrowing func receive(into mapping: Mapping, at offset: Int, count: Int) -> Int {
        mapping.check(offset, count)
        return unsafe clinux_receive_bytes(descriptor.raw, mapping.base + offset, count)
    }
}

extension File {
    /// Writes `head`, then `range` of the buffers' bytes, then `tail` without its first `skipped`
    /// bytes, to `offset` of the file in one call; words in their order here. Returns bytes, or errno
    /// negated: EMSGSIZE for more buffers than one call takes.
    public static func write(
        _ file: borrowing OwnedFD, at offset: UInt64, _ head: Span<UInt32>,
        _ buffers: borrowing IOVectors, _ range: Range<Int>, _ tail: Span<UInt32>,
        skipping skipped: Int
    ) -> Int {
        unsafe head.withUnsafeBytes { head in
            unsafe tail.withUnsafeBytes { tail in
                let after = unsafe UnsafeRawBufferPointer(rebasing: tail[skipped...])
                return unsafe buffers.withPieces(
                    range, before: iovec(head), after: iovec(after)
                ) {
                    unsafe clinux_write_vectors(file.raw, $0, Int32($1), off_t(offset))
                }
            }
        }
    }
}

extension iovec {
    /// For calls that only read what it names.
    fileprivate init(_ bytes: UnsafeRawBufferPointer) {
        unsafe self.init(
            iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
    }
}

extension IOVectors {
    /// Bytes in the first `buffers` buffers together, or in all there are.
    func byteCount(ofFirst buffers: Int) -> Int {
        guard count > buffers else { return byteCount }
        return unsafe withVectors { vectors, _ in
            var sum = 0
            for index in 0..<buffers { sum += unsafe vectors[index].iov_len }
            return sum
        }
    }

    /// Lists this long stand on the stack: a kilobyte.
    private static var shortList: Int { 64 }

    /// Calls `body` with `range` of the bytes between two pieces of the caller's, either of which may
    /// be empty, in a list for one call. Returns what `body` does, or -EMSGSIZE where the list would
    /// be longer than one call takes.
    @unsafe
    @inline(__always)
    func withPieces(
        _ range: Range<Int>, before: iovec, after: iovec,
        _ body: (UnsafeMutablePointer<iovec>, Int) -> Int
    ) -> Int {
        if count <= Self.shortList - 2 {
            return unsafe withUnsafeTemporaryAllocation(of: iovec.self, capacity: Self.shortList) {
                guard let list = $0.baseAddress else { return -Int(EMSGSIZE) }
                return unsafe body(list, gather(range, before, after, into: list))
            }
        }
        let list = UnsafeMutablePointer<iovec>.allocate(capacity: count + 2)
        defer { unsafe list.deallocate() }
        let pieces = unsafe gather(range, before, after, into: list)
        return pieces <= IOVectorTable.perCall ? unsafe body(list, pieces) : -Int(EMSGSIZE)
    }

    /// Returns how many entries of `list` it wrote: `count` and two at most.
    @inline(__always)
    private func gather(
        _ range: Range<Int>, _ before: iovec, _ after: iovec,
        into list: UnsafeMutablePointer<iovec>
    ) -> Int {
        var next = 0
        if unsafe before.iov_len > 0 {
            unsafe list[next] = before
            next += 1
        }
        unsafe walk(range.lowerBound, range.count) { address, _, bytes in
            unsafe list[next] = iovec(iov_base: address, iov_len: bytes)
            next += 1
        }
        if unsafe after.iov_len > 0 {
            unsafe list[next] = after
            next += 1
        }
        return next
    }
}
