import CLibURing
import CLinux

/// One io_uring: the place where a worker hands out I/O and waits for all that can happen to it.
/// Made, used and dropped on one thread.
@safe
public struct IORing: ~Copyable {
    /// What became of one operation: its tag and the system call's result, errno negated.
    public struct Completion: Sendable {
        public let tag: UInt64
        public let result: Int32
    }

    // On the heap: the kernel and liburing keep its address.
    private let ring: UnsafeMutablePointer<io_uring>
    /// What `waitASecond` waits; the kernel reads it when the operation is handed over.
    private let second: UnsafeMutablePointer<__kernel_timespec>
    /// The file whose operations need not look it up each time, once there was one; -1 before.
    private var registered: Int32 = -1

    /// - Parameter depth: operations in flight at most, 1 to 32768.
    public init(depth: Int) throws(SystemError) {
        let entries = UInt32(max(8, min(depth, 32_768)))
        // Only given to `self` when it is whole: a throw after that would run `deinit` on it.
        let ring = UnsafeMutablePointer<io_uring>.allocate(capacity: 1)
        // Newer kernels run completions only when we ask, on our own thread: fewest interruptions.
        let shared = UInt32(IORING_SETUP_CLAMP)
        let choices: [UInt32] = [
            UInt32(IORING_SETUP_SINGLE_ISSUER) | UInt32(IORING_SETUP_DEFER_TASKRUN)
                | UInt32(IORING_SETUP_TASKRUN_FLAG),
            UInt32(IORING_SETUP_COOP_TASKRUN) | UInt32(IORING_SETUP_TASKRUN_FLAG),
            0,
        ]
        var result: Int32 = -EINVAL
        for flags in choices where result == -EINVAL {
            unsafe ring.initialize(to: io_uring())
            result = unsafe io_uring_queue_init(entries, ring, flags | shared)
        }
        guard result == 0 else {
            unsafe ring.deallocate()
            throw SystemError("io_uring_setup", -result)
        }
        unsafe self.ring = ring
        unsafe second = .allocate(capacity: 1)
        unsafe second.initialize(to: __kernel_timespec(tv_sec: 1, tv_nsec: 0))
        _ = unsafe io_uring_register_ring_fd(ring)
    }

    deinit {
        unsafe io_uring_queue_exit(ring)
        unsafe ring.deallocate()
        unsafe second.deallocate()
    }

    /// Reads into a slot's buffers, as many as one call takes.
    public mutating func read(
        _ file: Int32, _ table: borrowing IOVectorTable, slot: Int, offset: UInt64, tag: UInt64
    ) -> Bool {
        guard let entry = unsafe entry(tag) else { return false }
        let (vectors, count) = unsafe table.vectors(slot)
        if count == 1 {
            // One buffer needs no list, which the kernel would have to copy.
            let length = UInt32(clamping: unsafe vectors[0].iov_len)
            unsafe io_uring_prep_read(entry, file, vectors[0].iov_base, length, offset)
        } else {
            unsafe io_uring_prep_readv(entry, file, vectors, count, offset)
        }
        unsafe finish(entry, file, tag)
        return true
    }

    /// Writes a slot's buffers; `durable` asks for stable storage before completion (RWF_DSYNC).
    public mutating func write(
        _ file: Int32, _ table: borrowing IOVectorTable, slot: Int, offset: UInt64, durable: Bool,
        tag: UInt64
    ) -> Bool {
        guard let entry = unsafe entry(tag) else { return false }
        let (vectors, count) = unsafe table.vectors(slot)
        if count == 1 {
            let length = UInt32(clamping: unsafe vectors[0].iov_len)
            unsafe io_uring_prep_write(entry, file, vectors[0].iov_base, length, offset)
        } else {
            unsafe io_uring_prep_writev(entry, file, vectors, count, offset)
        }
        if durable { unsafe entry.pointee.rw_flags = clinux_write_durably }
        unsafe finish(entry, file, tag)
        return true
    }

    /// fdatasync.
    public mutating func synchronize(_ file: Int32, tag: UInt64) -> Bool {
        guard let entry = unsafe entry(tag) else { return false }
        unsafe io_uring_prep_fsync(entry, file, UInt32(IORING_FSYNC_DATASYNC))
        unsafe io_uring_sqe_set_data64(entry, tag)
        return true
    }

    /// fallocate in one of the ways of `FileSpace`; `offset` and `count` in bytes.
    public mutating func allocate(
        _ file: Int32, _ mode: FileSpace, offset: UInt64, count: UInt64, tag: UInt64
    ) -> Bool {
        guard let entry = unsafe entry(tag) else { return false }
        unsafe io_uring_prep_fallocate(
            entry, file, mode.flags, Int(bitPattern: UInt(offset)), Int(bitPattern: UInt(count)))
        unsafe io_uring_sqe_set_data64(entry, tag)
        return true
    }

    /// Completes once, when `file` has input.
    public mutating func waitForInput(_ file: Int32, tag: UInt64) -> Bool {
        guard let entry = unsafe entry(tag) else { return false }
        unsafe io_uring_prep_poll_add(entry, file, UInt32(POLLIN))
        unsafe io_uring_sqe_set_data64(entry, tag)
        return true
    }

    /// Completes once, when `file` takes output.
    public mutating func waitForOutput(_ file: Int32, tag: UInt64) -> Bool {
        guard let entry = unsafe entry(tag) else { return false }
        unsafe io_uring_prep_poll_add(entry, file, UInt32(POLLOUT))
        unsafe io_uring_sqe_set_data64(entry, tag)
        return true
    }

    /// Completes once, in a second.
    public mutating func waitASecond(tag: UInt64) -> Bool {
        guard let entry = unsafe entry(tag) else { return false }
        unsafe io_uring_prep_timeout(entry, second, 0, 0)
        unsafe io_uring_sqe_set_data64(entry, tag)
        return true
    }

    /// Ends the wait that `waitForInput` began under `tag`; that one completes with ECANCELED, and
    /// this request itself completes under `ownTag`.
    public mutating func cancelWait(tag: UInt64, ownTag: UInt64) -> Bool {
        guard let entry = unsafe entry(ownTag) else { return false }
        unsafe io_uring_prep_poll_remove(entry, tag)
        unsafe io_uring_sqe_set_data64(entry, ownTag)
        return true
    }

    /// Asks the kernel to end the operation under `tag` early: it completes with ECANCELED where that
    /// can be, and as it would have else. This request itself completes under `ownTag`.
    public mutating func cancel(tag: UInt64, ownTag: UInt64) -> Bool {
        guard let entry = unsafe entry(ownTag) else { return false }
        unsafe io_uring_prep_cancel64(entry, tag, 0)
        unsafe io_uring_sqe_set_data64(entry, ownTag)
        return true
    }

    /// Hands over what was prepared. Interrupted or short of memory, it is tried again next time.
    public mutating func submit() {
        if unsafe io_uring_sq_ready(ring) > 0 { _ = unsafe io_uring_submit(ring) }
    }

    /// The same, once `count` operations are prepared.
    public mutating func submit(from count: UInt32) {
        if unsafe io_uring_sq_ready(ring) >= count { _ = unsafe io_uring_submit(ring) }
    }

    /// Hands over what was prepared, and sleeps until something completes (or a signal comes).
    public mutating func submitAndWait() { _ = unsafe io_uring_submit_and_wait(ring, 1) }

    /// The same, for at most `microseconds`.
    public mutating func submitAndWait(microseconds: UInt32) {
        var completion: UnsafeMutablePointer<io_uring_cqe>?
        var limit = __kernel_timespec(tv_sec: 0, tv_nsec: Int64(microseconds) * 1000)
        _ = unsafe io_uring_submit_and_wait_timeout(ring, &completion, 1, &limit, nil)
    }

    /// The next completion, if one is there.
    public mutating func next() -> Completion? {
        var entry: UnsafeMutablePointer<io_uring_cqe>?
        guard unsafe io_uring_peek_cqe(ring, &entry) == 0, let entry = unsafe entry else {
            return nil
        }
        let completion = unsafe Completion(tag: entry.pointee.user_data, result: entry.pointee.res)
        unsafe io_uring_cqe_seen(ring, entry)
        return completion
    }

    /// Gives an operation on `file` its tag, and the file by its place in the ring's own table: the
    /// first one that comes is put there, and a worker has no other.
    private mutating func finish(
        _ entry: UnsafeMutablePointer<io_uring_sqe>, _ file: Int32, _ tag: UInt64
    ) {
        unsafe io_uring_sqe_set_data64(entry, tag)
        if registered == -1 {
            var one = file
            let result = unsafe io_uring_register_files(ring, &one, 1)
            registered = result == 0 ? file : -2
        }
        guard registered == file else { return }
        unsafe entry.pointee.fd = 0
        unsafe entry.pointee.flags |= UInt8(1 << IOSQE_FIXED_FILE_BIT)
    }

    private func entry(_ tag: UInt64) -> UnsafeMutablePointer<io_uring_sqe>? {
        if let entry = unsafe io_uring_get_sqe(ring) { return unsafe entry }
        _ = unsafe io_uring_submit(ring)
        return unsafe io_uring_get_sqe(ring)
    }
}

/// What fallocate does to a range.
public enum FileSpace: Sendable {
    /// Gives the space back; the range reads as zero.
    case punchHole
    /// Reads as zero and keeps its space.
    case zero

    var flags: Int32 {
        switch self {
        case .punchHole: FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
        case .zero: FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE
        }
    }
}
