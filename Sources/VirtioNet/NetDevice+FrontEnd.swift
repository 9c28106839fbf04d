import VirtioDevice
import VirtioSpec

// What the front-end's messages ask of the device.
extension NetDevice {
    /// A pair's two queues pass packets to each other.
    public var queuesPerGroup: Int { NetLayout.queuesPerPair }
    /// Front-ends of network devices count pairs.
    public var queueNumber: Int { pairCount }
    public var protocolFeatures: ProtocolFeatures { [.netMTU] }
    /// Some front-ends (QEMU before 8.0) add and remove each memory region once for every pair.
    public var protocolFeaturesWithheld: ProtocolFeatures { pairCount > 1 ? [.memorySlots] : [] }
}
