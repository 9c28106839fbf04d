import CLinux

extension UnixListener {
    /// Opens and locks the lock file; throws `liveOwner` where another process holds it.
    static func lock(_ path: String) throws(ListenFailure) -> OwnedFD {
        do throws(SystemError) {
            // An owner that is just leaving may unlink the file between our open and our lock; then
            // the path names another file or none, and we try again.
            for _ in 0..<100 {
                let file = try File.open(path, [.writable, .create, .noLink])
                guard try FileLock.acquire(file, exclusive: true) else { break }
                let inode = try file.facts().inode
                if let named = try? File.open(path, []), try named.facts().inode == inode {
                    return file
                }
            }
        } catch { throw .system(error) }
        throw .liveOwner(holder(path))
    }

    private static func holder(_ path: String) -> String? {
        guard let file = try? File.open(path, []) else { return nil }
        return FileLock.holder(of: file)
    }

    /// Removes a socket that nobody serves any more.
    static func removeStale(
        _ path: String, _ address: SocketAddress
    ) throws(ListenFailure) {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { return }
        guard Int32(status.st_mode) & S_IFMT == S_IFSOCK else { throw .notASocket }
        let raw = socket(
            AF_UNIX,
            Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard raw >= 0 else { throw .system(.last("socket")) }
        let probe = OwnedFD(adopting: raw)
        // A program that does not know our lock may serve the path: only a refusal proves it dead.
        let answer = -address.connect(probe.raw)
        guard answer == ECONNREFUSED else { throw .liveOwner(nil) }
        File.remove(path)
    }

    /// Looks up who is to own the socket; what is not asked for stays as it is.
    static func owners(_ access: SocketAccess) throws(ListenFailure) -> (uid_t, gid_t) {
        var owners = (uid_t.max, gid_t.max)
        if let name = access.owner {
            if let number = UInt32(name) {
                owners.0 = number
            } else if let entry = unsafe getpwnam(name) {
                owners.0 = unsafe entry.pointee.pw_uid
            } else {
                throw .unknownUser(name)
            }
        }
        if let name = access.group {
            if let number = UInt32(name) {
                owners.1 = number
            } else if let entry = unsafe getgrnam(name) {
                owners.1 = unsafe entry.pointee.gr_gid
            } else {
                throw .unknownGroup(name)
            }
        }
        return owners
    }

    static func apply(
        _ owners: (uid_t, gid_t), _ mode: UInt32?, _ path: String
    ) throws(ListenFailure) {
        if owners != (.max, .max) {
            guard unsafe lchown(path, owners.0, owners.1) == 0 else {
                throw .system(.last("chown"))
            }
        }
        if let mode {
            guard unsafe chmod(path, mode) == 0 else { throw .system(.last("chmod")) }
        }
    }
}
