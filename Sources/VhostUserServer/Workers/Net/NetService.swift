import Host
import NetPorts
import VirtioDevice
import VirtioNet
import VirtioSpec

/// Network devices and what is behind them, as all their workers see it.
public final class NetService: Sendable {
    /// Where a device's packets go, and where those for it come from.
    public enum Link: Sendable {
        /// Nowhere, and from nowhere.
        case null
        /// Nowhere, once it has been copied into memory of our own; and from nowhere.
        case copy
        /// Back to the queue pair that they came from.
        case loopback
        /// Nowhere; and as many as the guest takes, each of so many bytes.
        case generator(bytes: Int)
        case tap(TapPort)
        /// The passt whose socket has this path, which may come and go. It has one pair.
        case passt(String)
        /// To each other's guests.
        case `switch`(SwitchLink)
    }

    public let devices: [NetDevice]
    public let link: Link
    /// Records what crosses the devices.
    public let capture: Capture?

    public init(_ devices: [NetDevice], _ link: Link, capture: Capture? = nil) {
        self.devices = devices
        self.link = link
        self.capture = capture
    }
}

extension NetDevice {
    /// What the device's queue `queue` is for.
    func role(of queue: Int) -> NetEngine.Role {
        let pair = queue / NetLayout.queuesPerPair
        guard queue != controlQueue, pair < pairCount else { return .control }
        return queue % NetLayout.queuesPerPair == 0 ? .receive(pair: pair) : .transmit(pair: pair)
    }
}
