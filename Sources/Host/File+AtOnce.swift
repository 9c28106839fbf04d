import CLinux

/// I/O that is done when the call returns.
extension File {
    /// Whether a file's bytes are in memory and nowhere else, as on tmpfs: no call on it waits.
    public static func isInMemory(_ file: borrowing OwnedFD) -> Bool {
        clinux_is_in_memory(file.raw) != 0
    }

    /// Reads from `offset` on into the buffers, as many as one call takes. With `mayWait` false only
    /// what the page cache holds. Returns bytes, or errno negated: EAGAIN where it would have to
    /// wait, EOPNOTSUPP where the file system can't tell.
    public static func readAtOnce(
        _ file: borrowing OwnedFD, at offset: UInt64, into buffers: borrowing IOVectors,
        mayWait: Bool
    ) -> Int {
        unsafe buffers.withVectors { vectors, count in
            let most = Int32(min(count, IOVectorTable.perCall))
            return unsafe clinux_read_vectors(
                file.raw, vectors, most, off_t(offset), mayWait ? 0 : 1)
        }
    }

    /// Writes the buffers from `offset` on, as many as one call takes. Returns bytes, or errno
    /// negated.
    public static func writeAtOnce(
        _ file: borrowing OwnedFD, at offset: UInt64, from buffers: borrowing IOVectors
    ) -> Int {
        unsafe buffers.withVectors { vectors, count in
            let most = Int32(min(count, IOVectorTable.perCall))
            return unsafe clinux_write_vectors(file.raw, vectors, most, off_t(offset))
        }
    }
}
