import GuestMemory
import Host

/// What the control plane knows of one ring. Started and enabled are independent of each other.
final class Vring {
    let index: Int
    /// Entries; right for the ring's form once it is started.
    var size: UInt16?
    var addresses: RingAddresses?
    /// Where to go on from, as SET_VRING_BASE says it for the ring's form; nil for a fresh ring.
    var base: UInt32?
    /// Where a worker left it, in this session.
    var stoppedAt: UInt32?
    /// It was told another base than that: it is not the ring that it was.
    var isRenewed = false
    var isEnabled = false
    /// SET_VRING_KICK has come and GET_VRING_BASE has not: the ring runs as soon as it can.
    var isStarted = false
    /// A worker owns it.
    var isRunning = false
    /// Kept until a worker takes them over.
    var kick: Notification?
    var call: Notification?
    /// Kept for the session, since front-ends send it once; a worker gets a copy.
    var error: Notification?

    init(index: Int) { self.index = index }

    /// As GET_VRING_BASE leaves a ring: its descriptors are closed, where it was is remembered.
    func stop(base: UInt32?) {
        self.base = base
        isStarted = false
        isRunning = false
        kick = nil
        call = nil
    }
}
