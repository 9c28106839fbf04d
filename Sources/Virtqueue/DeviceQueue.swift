import GuestMemory

/// The device's side of a virtqueue in either form: a pure ring engine, without notifications,
/// threads or knowledge of any device.
///
/// `next` takes chains, `complete` gives them back, `publish` shows the driver a breath's worth of
/// them at once and says whether it wants a call.
public protocol DeviceQueue: ~Copyable {
    /// Chains taken and not yet given back.
    var inFlight: Int { get }
    /// Set once, by the first violation.
    var violation: QueueViolation? { get }
    /// What GET_VRING_BASE answers: where another device goes on.
    var vringBase: UInt32 { get }

    /// Takes the next chain and fills `buffers` with what it holds, or returns nil where the driver
    /// has made none available. Throws once where the driver broke the ring, and returns nil for
    /// ever after. O(descriptors of the chain).
    mutating func next(
        _ memory: inout GuestMemory, _ buffers: inout ChainBuffers
    ) throws(QueueViolation) -> Chain?

    /// Gives a chain back: `written` bytes of its writable buffers were filled. The driver sees it
    /// after `publish`; with IN_ORDER, not before those that were made available earlier.
    mutating func complete(_ chain: consuming Chain, written: UInt32)

    /// Undoes the `next` that gave this chain, the last one taken and not undone: it comes again.
    mutating func putBack(_ chain: consuming Chain)

    /// Leaves a chain in flight: whoever runs the ring next finds it in the inflight region. Nothing
    /// is done with this queue afterwards but to leave others, and to publish.
    mutating func leave(_ chain: consuming Chain)

    /// Shows the driver everything completed since the last time. Returns whether it wants a call.
    mutating func publish() -> Bool

    /// Asks the driver for no kicks while we look by ourselves.
    mutating func suppressKicks()

    /// Asks the driver for a kick at its next chain. Returns true where one came before the driver
    /// could see that: then there is no kick to wait for.
    mutating func requestKicks() -> Bool

    /// Whether something waits in the ring; a cheap look, for polling.
    func hasAvailable() -> Bool

    /// Whether the ring is zero throughout: one that no driver has touched, or one whose memory is
    /// not the guest's.
    func isUntouched() -> Bool
}
