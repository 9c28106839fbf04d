import CLinux

/// A plain named thread. Its body runs once; `join` waits for its end.
@safe
public struct Thread: ~Copyable, Sendable {
    private let handle: pthread_t

    /// - Parameters:
    ///   - name: shown by ps and top; the first 15 bytes of it.
    ///   - cpus: where the thread may run; empty for anywhere.
    public init(
        name: String, cpus: [Int32] = [], body: sending @escaping @Sendable () -> Void
    ) throws(SystemError) {
        let start = Start(name: String(name.prefix(15)), cpus: cpus, body: body)
        var thread = pthread_t()
        let result = unsafe pthread_create(
            &thread, nil,
            { @Sendable pointer in
                // Safe: the other half of `passRetained` below, taken exactly once.
                guard let pointer = unsafe pointer else { return nil }
                unsafe Unmanaged<Start>.fromOpaque(pointer).takeRetainedValue().run()
                return nil
            }, Unmanaged.passRetained(start).toOpaque())
        guard result == 0 else {
            unsafe Unmanaged.passUnretained(start).release()
            throw SystemError("pthread_create", result)
        }
        handle = thread
    }

    /// Waits until the body has returned.
    public consuming func join() { pthread_join(handle, nil) }

    /// Lets it end by itself, whenever that is.
    public consuming func detach() { pthread_detach(handle) }

    private final class Start: Sendable {
        let name: String
        let cpus: [Int32]
        let body: @Sendable () -> Void

        init(name: String, cpus: [Int32], body: @escaping @Sendable () -> Void) {
            self.name = name
            self.cpus = cpus
            self.body = body
        }

        func run() {
            unsafe clinux_name_thread(name)
            if !cpus.isEmpty {
                _ = unsafe cpus.withUnsafeBufferPointer {
                    unsafe clinux_pin_thread($0.baseAddress, Int32($0.count))
                }
            }
            body()
        }
    }
}
