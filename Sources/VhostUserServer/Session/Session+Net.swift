import VirtioDevice

/// Messages to network devices.
extension Session {
    func announce(_ mac: UInt64) throws(Refusal) {
        switch device.announce(mac: mac, canTell: mayTellOfChanges && backend.isOpen) {
        case .refused: throw .announcement
        case .byDriver: workers.changes.changed()
        case .byQueue(let queue):
            // One that does not run yet looks at its start.
            let vring = vrings[queue]
            if vring.isRunning { try tell(vring, .announce) }
        }
    }
}
