import Host
import VirtioSpec

/// What the back-end says without being asked.
extension Session {
    func setBackendRequestFD(_ descriptors: inout ReceivedFDs) throws(Refusal) {
        guard let descriptor = descriptors.take(0) else { throw .descriptorMissing }
        guard backend.open(descriptor) else { throw .backendSocket }
    }

    /// Whether the front-end is to hear of changes now. While no ring runs, the device is suspended.
    var mayTellOfChanges: Bool {
        negotiated.protocolFeatures.isSuperset(of: [.backendRequests, .config])
            && vrings.contains { $0.isRunning }
    }
}
