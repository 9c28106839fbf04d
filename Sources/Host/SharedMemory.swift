import CLinux

/// What a descriptor that came for memory turns out to be.
public struct FileFacts: Equatable, Sendable {
    public enum Kind: Equatable, Sendable {
        case regular, characterDevice, blockDevice, directory, other
    }
    public let kind: Kind
    /// Bytes; meaningful for regular files.
    public let byteCount: UInt64
    /// The page size of the file's backing: 4096 as a rule, a huge page's on hugetlbfs.
    public let pageBytes: Int
    public let device: UInt64
    public let inode: UInt64
}

extension OwnedFD {
    /// fstat, in the few words that matter here.
    public borrowing func facts() throws(SystemError) -> FileFacts {
        var status = stat()
        guard unsafe fstat(raw, &status) == 0 else { throw SystemError.last("fstat") }
        let block = Int(status.st_blksize)
        // A power of two no smaller than a page, or the plain page.
        let page = block >= 4096 && block & (block - 1) == 0 ? block : 4096
        return FileFacts(
            kind: FileFacts.Kind(status), byteCount: UInt64(max(0, status.st_size)),
            pageBytes: page,
            device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
    }
}

extension FileFacts.Kind {
    init(_ status: stat) {
        self =
            switch Int32(status.st_mode) & S_IFMT {
            case S_IFREG: .regular
            case S_IFCHR: .characterDevice
            case S_IFBLK: .blockDevice
            case S_IFDIR: .directory
            default: .other
            }
    }
}

/// A memfd of our own and its mapping: what a front-end calls the guest's memory.
public struct SharedMemory: ~Copyable, Sendable {
    public let descriptor: OwnedFD
    public let mapping: Mapping

    /// - Parameters:
    ///   - count: bytes, a multiple of the page size in use.
    ///   - hugePages: 2 MiB pages from the host's pool; fails where there are none.
    ///   - sealed: forbids shrinking, so that nobody can pull the memory away.
    public init(
        count: Int, name: String = "guest", hugePages: Bool = false, sealed: Bool = false
    ) throws(SystemError) {
        var flags = UInt32(MFD_CLOEXEC)
        if hugePages { flags |= UInt32(MFD_HUGETLB) }
        if sealed { flags |= UInt32(MFD_ALLOW_SEALING) }
        let raw = unsafe memfd_create(name, flags)
        guard raw >= 0 else { throw SystemError.last("memfd_create") }
        let descriptor = OwnedFD(adopting: raw)
        guard ftruncate(raw, count) == 0 else { throw SystemError.last("ftruncate") }
        if sealed {
            let result = clinux_forbid_shrinking(raw)
            guard result == 0 else { throw SystemError("fcntl", -result) }
        }
        let page = hugePages ? 2 << 20 : 4096
        mapping = try Mapping.shared(descriptor, count: count, pageBytes: page)
        self.descriptor = descriptor
    }

    /// Changes the file's length under the mapping, as a hostile front-end would.
    public borrowing func truncate(to count: Int) throws(SystemError) {
        guard ftruncate(descriptor.raw, count) == 0 else { throw SystemError.last("ftruncate") }
    }
}
