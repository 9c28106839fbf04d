import GuestMemory
import Host
import VirtioSpec
import Virtqueue

/// Everything a worker needs to run a queue. The descriptors become the worker's own.
struct QueueStart: ~Copyable, Sendable {
    let addresses: RingAddresses
    /// A power of two where the ring is split.
    let size: UInt16
    /// As SET_VRING_BASE has it, and right for the ring's form and size.
    let base: UInt32
    let features: Features
    let map: GuestMap
    let inflight: RingInflight
    let kick: Notification?
    let call: Notification?
    let error: Notification?
    let isEnabled: Bool
    let trouble: Trouble

    /// A queue of our own, to which no driver has the other end.
    var isWithoutRing: Bool { size == 0 }

    /// What starts one.
    static func withoutRing(_ trouble: Trouble) -> QueueStart {
        QueueStart(
            addresses: RingAddresses(descriptors: 0, available: 0, used: 0), size: 0, base: 0,
            features: [], map: .empty, inflight: .none, kick: nil, call: nil, error: nil,
            isEnabled: true,
            trouble: trouble)
    }
}

/// Where a ring's requests in flight are recorded, with the mapping that this is in.
enum RingInflight: Sendable {
    case none
    case split(SplitInflight, Mapping)
    case packed(PackedInflight, Mapping)

    var memory: Mapping? {
        switch self {
        case .none: nil
        case .split(_, let memory), .packed(_, let memory): memory
        }
    }
}

/// What becomes of requests in flight when a queue stops.
enum StopManner: Sendable {
    /// They are waited for.
    case drain
    /// What the store does not give back within a moment is left in the inflight buffer. A queue
    /// without one is drained.
    case suspend
}

/// What the control plane asks of one queue.
enum QueueOrder: ~Copyable, Sendable {
    case start(QueueStart)
    /// Take nothing more, finish or leave what is in flight, give the queue back.
    case stop(StopManner)
    case setKick(Notification?)
    case setCall(Notification?)
    case setError(Notification?)
    case enable(Bool)
}

/// What the control plane asks of a worker, one thing at a time.
enum WorkerOrder: ~Copyable, Sendable {
    /// For one of the worker's queues.
    case queue(QueuePlace, QueueOrder)
    /// Use `map` from now on in these of the worker's queues, and answer when nothing in flight uses
    /// a mapping of `removed`. A ring whose own memory is gone waits for it to come back.
    case setMemory(GuestMap, removed: [Mapping], queues: Range<Int>)
    /// Every queue is to stop; answered when all have.
    case stopAll
    /// End the thread.
    case leave

    /// The memory to work on from this order on, if it names one.
    var map: GuestMap? {
        switch self {
        case .queue(_, .start(let start)): start.map
        case .setMemory(let map, _, _): map
        case .queue: nil
        case .stopAll: nil
        case .leave: nil
        }
    }
}

enum WorkerAnswer: Sendable {
    case done
    /// The queue's next base, as GET_VRING_BASE answers it, and what it counted.
    case stopped(base: UInt32, QueueCounters)
    case misplaced(RingPlacementFault)
    case failed(SystemError)
    /// The thread could not begin, and has ended.
    case broken(SystemError)
}
