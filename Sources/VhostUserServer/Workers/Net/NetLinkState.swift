import Host
import Logging
import NetPorts
import VirtioNet
import VirtioSpec

/// What the driver sees of its link follows the port. The first pair's queue into the guest looks
/// after that.
extension RunningQueue where Engine == NetEngine {
    /// Looks at the TAP where something may have changed about it. Deleted or set down, it is no link.
    mutating func followLink(of tap: TapPort) {
        guard engine.isLinkStale, engine.role == .receive(pair: 0) else { return }
        engine.isLinkStale = false
        setLink(isUp: !tap.isLost && tap.isUp ?? true)
    }

    mutating func setLink(isUp: Bool) {
        guard engine.net.isLinkUp != isUp else { return }
        engine.net.isLinkUp = isUp
        changes?.changed()
    }
}

extension NetEngine {
    /// The slot of the wait for changes of interfaces; the wait for packets has 0.
    static let watchSlot = 1

    mutating func watch(_ ring: inout IORing) {
        guard !isWatching, role == .receive(pair: 0), case .tap(let tap) = link,
            let descriptor = tap.watchDescriptor
        else { return }
        isWatching = ring.waitForInput(descriptor, tag: tags + UInt64(Self.watchSlot))
    }

    mutating func noticeLinkChange() {
        isWatching = false
        isLinkStale = true
        if case .tap(let tap) = link { tap.drainWatch() }
    }

    mutating func stopWatching(_ ring: inout IORing) {
        guard isWatching else { return }
        _ = ring.cancelWait(tag: tags + UInt64(Self.watchSlot), ownTag: Tag.cancel)
    }
}
