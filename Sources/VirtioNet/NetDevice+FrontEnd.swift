import Synchronization
import VirtioDevice
import VirtioSpec

// What the front-end's messages ask of the device.
extension NetDevice {
    /// A pair's two queues pass packets to each other.
    public var queuesPerGroup: Int { NetLayout.queuesPerPair }
    /// Front-ends of network devices count pairs.
    public var queueNumber: Int { pairCount }
    public var protocolFeatures: ProtocolFeatures { [.netMTU, .rarp] }
    /// Some front-ends (QEMU before 8.0) add and remove each memory region once for every pair.
    public var protocolFeaturesWithheld: ProtocolFeatures { pairCount > 1 ? [.memorySlots] : [] }

    /// Nothing of what a driver has said holds for the next.
    public func driverLeft() { reset() }

    /// A driver that can do it does it best: it knows all of its addresses. Else the first pair's queue
    /// out of the guest sends a request of ours.
    public func announce(mac: UInt64, canTell: Bool) -> Announcement {
        let address = MACAddress(rawValue: mac)
        guard !address.isMulticast, address.rawValue != 0 else { return .refused }
        if canTell, requestAnnounce() { return .byDriver }
        unannounced.store(address.rawValue, ordering: .relaxed)
        return .byQueue(1)
    }

    /// The address to announce for the driver, once; nil where there is none.
    public func takeAnnouncement() -> MACAddress? {
        let taken = unannounced.exchange(0, ordering: .relaxed)
        return taken == 0 ? nil : MACAddress(rawValue: taken)
    }
}
