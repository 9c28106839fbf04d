import CLinux

/// Opening files, and the few calls made on them outside io_uring.
public enum File {
    public struct Mode: OptionSet, Sendable {
        public let rawValue: Int
        public init(rawValue: Int) { self.rawValue = rawValue }
        public static let writable = Mode(rawValue: 1)
        /// Past the page cache.
        public static let direct = Mode(rawValue: 2)
        /// Fails where the host has the block device mounted or otherwise in use.
        public static let exclusive = Mode(rawValue: 4)
        public static let create = Mode(rawValue: 8)
        public static let truncate = Mode(rawValue: 16)
        /// Fails where the path's last part is a symbolic link.
        public static let noLink = Mode(rawValue: 32)
    }

    public static func open(_ path: String, _ mode: Mode) throws(SystemError) -> OwnedFD {
        var flags = mode.contains(.writable) ? O_RDWR : O_RDONLY
        // O_NONBLOCK keeps a FIFO from hanging us before we have seen that it is one.
        flags |= O_NONBLOCK
        if mode.contains(.direct) { flags |= O_DIRECT }
        if mode.contains(.exclusive) { flags |= O_EXCL }
        if mode.contains(.create) { flags |= O_CREAT }
        if mode.contains(.truncate) { flags |= O_TRUNC }
        if mode.contains(.noLink) { flags |= O_NOFOLLOW }
        let raw = unsafe clinux_open(path, flags, 0o600)
        guard raw >= 0 else { throw SystemError("open", -raw) }
        return OwnedFD(adopting: raw)
    }

    /// Opens what `file` is once more, whatever its path names by now.
    public static func openAgain(
        _ file: borrowing OwnedFD, _ mode: Mode
    ) throws(SystemError) -> OwnedFD {
        try open("/proc/self/fd/\(file.raw)", mode)
    }

    /// Undoes what `open` did to be safe: reads and writes wait for the disk again.
    public static func setBlocking(_ file: borrowing OwnedFD) {
        _ = clinux_set_blocking(file.raw)
    }

    /// What `path` names, without opening it.
    public static func kind(_ path: String) throws(SystemError) -> FileFacts.Kind {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { throw SystemError.last("open") }
        return FileFacts.Kind(status)
    }

    /// The inode that `path` itself names, a link not followed.
    public static func inode(_ path: String) -> UInt64? {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { return nil }
        return UInt64(status.st_ino)
    }

    /// Bytes of a regular file or of a block device.
    public static func byteCount(_ file: borrowing OwnedFD) throws(SystemError) -> UInt64 {
        let facts = try file.facts()
        guard facts.kind == .blockDevice else { return facts.byteCount }
        var bytes: UInt64 = 0
        let result = unsafe clinux_block_device_size(file.raw, &bytes)
        guard result == 0 else { throw SystemError("BLKGETSIZE64", -result) }
        return bytes
    }

    /// What direct I/O wants: alignment of memory and of offsets in bytes, powers of two.
    public static func directAlignment(_ file: borrowing OwnedFD) -> (memory: Int, offset: Int) {
        var memory: UInt32 = 0
        var offset: UInt32 = 0
        unsafe clinux_direct_alignment(file.raw, &memory, &offset)
        if memory != 0, offset != 0 { return (Int(memory), Int(offset)) }
        var sector: Int32 = 0
        // A host that does not say: a device's sector is known, a file's is taken as a page.
        let known = unsafe clinux_block_device_sector(file.raw, &sector) == 0 && sector > 0
        return known ? (Int(sector), Int(sector)) : (4096, 4096)
    }

    /// Sets a file's length in bytes; for the tools and tests that make one.
    public static func resize(_ file: borrowing OwnedFD, to bytes: UInt64) throws(SystemError) {
        guard ftruncate(file.raw, off_t(bytes)) == 0 else { throw SystemError.last("ftruncate") }
    }

    /// Removes a path; a path that is not there is fine.
    public static func remove(_ path: String) { _ = unsafe unlink(path) }

    /// Reads `count` bytes of `file` at `offset` into `memory` at `target`. Returns the bytes read,
    /// fewer only at the end of the file.
    public static func read(
        _ file: borrowing OwnedFD, at offset: UInt64, into memory: Mapping, at target: Int,
        count: Int
    ) throws(SystemError) -> Int {
        memory.check(target, count)
        var done = 0
        while done < count {
            let place = unsafe memory.base + target + done
            let got = unsafe pread(file.raw, place, count - done, off_t(offset) + off_t(done))
            if got == 0 { break }
            if got < 0 {
                let error = SystemError.last("pread")
                if error.code == EINTR { continue }
                throw error
            }
            done += got
        }
        return done
    }

    /// Writes `count` bytes of `memory` at `source` to `file` at `offset`.
    public static func write(
        _ file: borrowing OwnedFD, at offset: UInt64, from memory: Mapping, at source: Int,
        count: Int
    ) throws(SystemError) {
        memory.check(source, count)
        var done = 0
        while done < count {
            let place = unsafe memory.base + source + done
            let put = unsafe pwrite(file.raw, place, count - done, off_t(offset) + off_t(done))
            if put < 0 {
                let error = SystemError.last("pwrite")
                if error.code == EINTR { continue }
                throw error
            }
            if put == 0 { throw SystemError("pwrite", EIO) }
            done += put
        }
    }

    /// fdatasync.
    public static func synchronize(_ file: borrowing OwnedFD) throws(SystemError) {
        guard fdatasync(file.raw) == 0 else { throw SystemError.last("fdatasync") }
    }
}
