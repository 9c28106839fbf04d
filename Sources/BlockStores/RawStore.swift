import Host

/// A raw file or a block device of the host's.
public final class RawStore: BlockStore {
    public struct Options: Sendable {
        public var isReadOnly: Bool
        /// Past the page cache.
        public var isDirect: Bool

        public init(isReadOnly: Bool = false, isDirect: Bool = false) {
            self.isReadOnly = isReadOnly
            self.isDirect = isDirect
        }
    }

    public let byteCount: UInt64
    public let name: String
    let file: OwnedFD
    /// Holds the lock and, on a block device, the claim. Not the file that io_uring works on: that one
    /// may outlive the process for a while, and a restart would find the disk in use.
    private let claim: OwnedFD
    let isDirect: Bool
    /// What direct I/O asks of memory and of offsets, powers of two; 1 through the page cache.
    let memoryAlignment: Int
    public let offsetAlignment: Int
    /// How much of the I/O is done in the call itself, without io_uring. A file in memory never
    /// makes anybody wait, while io_uring would hand it to another thread; what the page cache holds
    /// is copied faster than it is queued.
    enum AtOnce { case nothing, cachedReads, everything }
    let atOnce: AtOnce
    /// The block size that suits it: 512, or 4096 where the device or direct I/O want it.
    public let suitableBlockSize: UInt32
    /// Held while a block is read, changed in part and written back, so that two such changes to
    /// one block never lose each other.
    let partialBlocks = Turn()

    /// Opens and locks `path`.
    public init(path: String, _ options: Options = Options()) throws(StoreFault) {
        // What a directory or a FIFO does when opened for writing is not worth finding out.
        let kind = try Self.system(path) { () throws(SystemError) in try File.kind(path) }
        try Self.check(path, kind)
        var mode: File.Mode = options.isReadOnly ? [] : .writable
        let claim = try Self.system(path) { () throws(SystemError) in
            // Two writers on a device that the host has mounted would ruin it.
            let isClaimed = kind == .blockDevice && !options.isReadOnly
            return try File.open(path, isClaimed ? mode.union(.exclusive) : mode)
        }
        try Self.lock(path, claim, exclusive: !options.isReadOnly)
        if options.isDirect { mode.insert(.direct) }
        let file = try Self.system(path) { () throws(SystemError) in
            try File.openAgain(claim, mode)
        }
        let bytes = try Self.system(path) { () throws(SystemError) in try File.byteCount(file) }
        File.setBlocking(file)
        byteCount = bytes
        isDirect = options.isDirect
        name = (kind == .blockDevice ? "block device " : "raw file ") + path
        atOnce =
            options.isDirect ? .nothing : File.isInMemory(file) ? .everything : .cachedReads
        let alignment = File.directAlignment(file)
        memoryAlignment = options.isDirect ? alignment.memory : 1
        offsetAlignment = options.isDirect ? alignment.offset : 1
        let unit = kind == .blockDevice || options.isDirect ? alignment.offset : 512
        suitableBlockSize = unit > 512 ? 4096 : 512
        self.file = file
        self.claim = claim
    }

    private static func system<R: ~Copyable>(
        _ path: String, _ body: () throws(SystemError) -> R
    ) throws(StoreFault) -> R {
        do throws(SystemError) { return try body() } catch { throw .open(path, error) }
    }

    private static func check(_ path: String, _ kind: FileFacts.Kind) throws(StoreFault) {
        switch kind {
        case .regular, .blockDevice: return
        case .directory: throw .directory(path)
        default: throw .notAStore(path)
        }
    }

    private static func lock(
        _ path: String, _ file: borrowing OwnedFD, exclusive: Bool
    ) throws(StoreFault) {
        let isLocked = try system(path) { () throws(SystemError) in
            try FileLock.acquire(file, exclusive: exclusive)
        }
        guard !isLocked else { return }
        throw .locked(path, FileLock.holder(of: file))
    }
}

/// Why a store can't be opened; `description` names the way out.
public enum StoreFault: Error, Equatable, Sendable, CustomStringConvertible {
    case open(String, SystemError)
    case directory(String)
    case notAStore(String)
    /// Who holds the lock, where that can be seen.
    case locked(String, String?)

    public var description: String {
        switch self {
        case .open(let path, let error) where error.code == SystemErrorCode.noEntry:
            "\(path): no such file; make a disk with: truncate -s 1G \(path)"
        case .open(let path, let error)
        where error.code == SystemErrorCode.accessDenied
            || error.code == SystemErrorCode.notPermitted:
            "\(path): permission denied; --read-only asks for less"
        case .open(let path, let error) where error.call == "open":
            "\(path): \(error.reason)"
        case .open(let path, let error): "\(path): \(error)"
        case .directory(let path): "\(path): is a directory, not a disk image or a block device"
        case .notAStore(let path): "\(path): neither a regular file nor a block device"
        case .locked(let path, let holder):
            "\(path): in use by \(holder ?? "another process"); a disk has one writer, or readers"
                + " with --read-only"
        }
    }
}
