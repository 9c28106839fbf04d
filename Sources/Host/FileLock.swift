import CLinux

/// Locks that belong to an open file description: they die with it, whatever else a process closes.
public enum FileLock {
    /// Locks the whole file, for reading beside other readers or for writing alone. Returns false
    /// where somebody else's lock is in the way.
    public static func acquire(
        _ file: borrowing OwnedFD, exclusive: Bool
    ) throws(SystemError) -> Bool {
        let result = clinux_lock_file(file.raw, Int16(exclusive ? F_WRLCK : F_RDLCK))
        if result == -EAGAIN || result == -EACCES { return false }
        guard result == 0 else { throw SystemError("fcntl", -result) }
        return true
    }

    /// Who holds a lock on the file, as far as this process may see: "ringway-blk (pid 123)".
    ///
    /// The kernel gives no process for this kind of lock, so /proc is searched for a descriptor
    /// whose fdinfo names a lock on the file's inode.
    public static func holder(of file: borrowing OwnedFD) -> String? {
        guard let inode = try? file.facts().inode else { return nil }
        let own = getpid()
        for process in Directory.names("/proc") {
            guard let id = Int32(process), id != own else { continue }
            for descriptor in Directory.names("/proc/\(process)/fdinfo") {
                let text = Directory.text("/proc/\(process)/fdinfo/\(descriptor)")
                if text.split(separator: "\n").contains(where: { names($0, inode) }) {
                    let name = Directory.text("/proc/\(process)/comm").prefix { $0 != "\n" }
                    return "\(name) (pid \(process))"
                }
            }
        }
        return nil
    }

    // "lock:	1: OFDLCK  ADVISORY  WRITE -1 fe:00:1234 0 EOF"
    private static func names(_ line: Substring, _ inode: UInt64) -> Bool {
        line.hasPrefix("lock:") && line.contains(":\(inode) ")
    }
}

/// Small readings of /proc.
enum Directory {
    static func names(_ path: String) -> [String] {
        guard let handle = unsafe opendir(path) else { return [] }
        defer { unsafe closedir(handle) }
        var names: [String] = []
        while let entry = unsafe readdir(handle) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) {
                    unsafe String(cString: $0)
                }
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names
    }

    /// The first 4 KiB of a file as text; empty where it can't be read.
    static func text(_ path: String) -> String {
        guard let file = try? File.open(path, []) else { return "" }
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: 4096) { buffer, count in
            count = unsafe max(0, CLinux.read(file.raw, buffer.baseAddress, 4096))
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
