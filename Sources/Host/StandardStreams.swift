import CLinux

/// Lines for people, written whole and at once.
public enum StandardOutput {
    public static func write(_ text: String) { writeAll(1, text) }
}

public enum StandardError {
    public static func write(_ text: String) { writeAll(2, text) }
}

private func writeAll(_ descriptor: Int32, _ text: String) {
    let bytes = Array(text.utf8)
    var done = 0
    while done < bytes.count {
        let put = unsafe bytes[done...].withUnsafeBytes {
            unsafe CLinux.write(descriptor, $0.baseAddress, $0.count)
        }
        // A closed stream is nobody's loss.
        guard put > 0 else { return }
        done += put
    }
}

/// The host's processors.
public enum Processors {
    public static var count: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
}

extension OwnedFD {
    /// Takes over `number` if it is an open descriptor.
    public init?(checking number: Int32) {
        var status = stat()
        guard number >= 0, unsafe fstat(number, &status) == 0 else { return nil }
        self.init(adopting: number)
    }
}
