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
    /// Whether this process may run on processor `number`.
    public static func mayRun(on number: Int32) -> Bool { clinux_may_run_on(number) != 0 }

    public static var count: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
}

/// What this process may use of the host.
public enum Limits {
    /// Raises the number of open descriptors to what the system allows us: a device with many queues
    /// needs several for each.
    public static func raiseDescriptors() { clinux_raise_descriptor_limit() }
}

extension OwnedFD {
    /// Takes over `number` if it is an open descriptor.
    public init?(checking number: Int32) {
        var status = stat()
        guard number >= 0, unsafe fstat(number, &status) == 0 else { return nil }
        self.init(adopting: number)
    }
}
