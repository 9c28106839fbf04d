/// Tags of the operations in a worker's io_uring. A store's are the queue's number among the
/// worker's and the chain's slot; above them are the worker's own.
enum Tag {
    static let order: UInt64 = 1 << 61
    static let cancel: UInt64 = 2 << 61
    private static let kick: UInt64 = 3 << 61
    private static let queueBits: UInt64 = 16

    /// What is added to a slot, below 32768, to make the tag of a store's operation.
    static func operations(queue: Int) -> UInt64 { UInt64(queue) << queueBits }

    /// A wait for a kick. Its generation tells it from one on a descriptor since replaced.
    static func kick(queue: Int, generation: UInt64) -> UInt64 {
        kick | (generation << queueBits & (order - 1)) | UInt64(queue)
    }

    enum Meaning {
        case operation(queue: Int, slot: Int)
        case kick(queue: Int)
        case order
        case other
    }

    @inline(__always)
    static func meaning(_ tag: UInt64) -> Meaning {
        let low = Int(tag & 0xffff)
        switch tag & kick {
        case 0: return .operation(queue: Int(tag >> queueBits), slot: low)
        case kick: return .kick(queue: low)
        case order: return .order
        default: return .other
        }
    }
}
