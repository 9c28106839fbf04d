import GuestMemory
import Host
import Logging
import VhostUserProtocol
import VirtioSpec
import Virtqueue

/// Messages about rings.
extension Session {
    private func vring(_ index: UInt32) throws(Refusal) -> Vring {
        guard index < UInt32(vrings.count) else { throw .noSuchRing(index) }
        return vrings[Int(index)]
    }

    private func stoppedVring(_ index: UInt32) throws(Refusal) -> Vring {
        let vring = try vring(index)
        guard !vring.isRunning else { throw .ringRuns(vring.index) }
        return vring
    }

    func setSize(_ state: VringState) throws(Refusal) {
        let vring = try stoppedVring(state.index)
        guard let size = UInt16(exactly: state.value), size > 0,
            state.value <= device.largestQueue, isPacked || QueueSize(state.value) != nil
        else { throw .ringSize(state.value, largest: device.largestQueue) }
        vring.size = size
    }

    private var isPacked: Bool { negotiated.features.contains(.packedRing) }

    func setAddress(_ address: VringAddress) throws(Refusal) {
        let vring = try vring(address.index)
        let addresses = RingAddresses(
            descriptors: address.descriptors, available: address.available, used: address.used)
        // On a ring that runs, the message may come to change the flags alone.
        if vring.isRunning, vring.addresses != addresses { throw .ringRuns(vring.index) }
        vring.addresses = addresses
        try startIfReady(vring)
    }

    func setBase(_ state: VringState) throws(Refusal) {
        let vring = try stoppedVring(state.index)
        // What it means on a packed ring is seen when the ring's size is known.
        guard isPacked || state.value <= UInt32(UInt16.max) else { throw .base(state.value) }
        vring.isRenewed = vring.isRenewed || vring.stoppedAt.map { $0 != state.value } ?? false
        vring.base = state.value
    }

    /// GET_VRING_BASE with a number of 1, which is reserved else, was once how not to drain.
    func manner(of state: VringState) -> StopManner {
        let isOld = negotiated.protocolFeatures.contains(.getVringBaseInflight)
        return isOld && state.value == 1 ? .suspend : .drain
    }

    func getBase(_ state: VringState, _ manner: StopManner) throws(Refusal) -> Reply {
        let vring = try vring(state.index)
        try stop(vring, manner)
        return .vringState(index: state.index, value: base(vring))
    }

    /// The descriptor that a kick, call or error message brought, or nil where it says it has none.
    private func descriptor(
        _ target: VringFD, _ descriptors: inout ReceivedFDs
    ) throws(Refusal) -> Notification? {
        guard target.hasDescriptor else {
            guard descriptors.count == 0 else { throw .descriptorUnexpected }
            return nil
        }
        guard let descriptor = descriptors.take(0) else { throw .descriptorMissing }
        guard let notification = Notification(descriptor) else { throw .descriptorKind }
        return notification
    }

    func setKick(_ target: VringFD, _ descriptors: inout ReceivedFDs) throws(Refusal) {
        let vring = try vring(target.index)
        let kick = try descriptor(target, &descriptors)
        if vring.isRunning {
            return try tell(vring, .setKick(kick))
        }
        vring.kick = kick
        // The ring runs from here on, whether or not a kick ever comes.
        vring.isStarted = true
        if map.regions.isEmpty { return }
        guard vring.size != nil, vring.addresses != nil else {
            throw .ringNotDescribed(vring.index)
        }
        try startIfReady(vring)
    }

    func setCall(_ target: VringFD, _ descriptors: inout ReceivedFDs) throws(Refusal) {
        let vring = try vring(target.index)
        let call = try descriptor(target, &descriptors)
        guard !vring.isRunning else { return try tell(vring, .setCall(call)) }
        vring.call = call
    }

    func setError(_ target: VringFD, _ descriptors: inout ReceivedFDs) throws(Refusal) {
        let vring = try vring(target.index)
        vring.error = try descriptor(target, &descriptors)
        guard vring.isRunning else { return }
        try tell(vring, .setError(vring.error?.duplicate()))
    }

    func setEnable(_ state: VringState) throws(Refusal) {
        let vring = try vring(state.index)
        guard state.value <= 1 else { throw .enableValue(state.value) }
        try enable(vring, state.value == 1)
    }

    func enable(_ vring: Vring, _ isEnabled: Bool) throws(Refusal) {
        vring.isEnabled = isEnabled
        if vring.isRunning { try tell(vring, .enable(isEnabled)) }
    }

    /// Where a ring goes on: where it was told, or else at its form's beginning.
    private func base(_ vring: Vring) -> UInt32 {
        vring.base ?? (isPacked ? PackedBase.start.vringBase : 0)
    }

    /// Moves a ring to its worker, if it is started, described, and its memory is there.
    func startIfReady(_ vring: Vring) throws(Refusal) {
        guard vring.isStarted, !vring.isRunning, !map.regions.isEmpty, let size = vring.size,
            let addresses = vring.addresses
        else { return }
        let base = base(vring)
        try checkForm(size, base)
        do throws(RingPlacementFault) {
            // Tried here first, so that a refusal leaves the ring's descriptors where they are.
            try RingForm.check(map, addresses, size: size, features: negotiated.features)
        } catch { throw .misplaced(vring.index, error) }
        sayInflight()
        let start = QueueStart(
            addresses: addresses, size: size, base: base, features: negotiated.features,
            map: map, inflight: try inflight(vring, size: size), kick: vring.kick.take(),
            call: vring.call.take(),
            error: vring.error?.duplicate(), isEnabled: vring.isEnabled,
            trouble: workers.trouble)
        // Its descriptors are the worker's now: where it fails they are gone, and the ring is stopped.
        vring.isStarted = false
        try tell(vring, .start(start))
        vring.isStarted = true
        vring.isRunning = true
        vring.isRenewed = false
        vring.stoppedAt = nil
        let form = isPacked ? "packed" : "split"
        logger.debug("queue \(vring.index) runs: \(form), \(size) entries from \(base)")
    }

    /// Size and base may have come before the features that say what they mean.
    private func checkForm(_ size: UInt16, _ base: UInt32) throws(Refusal) {
        if isPacked {
            guard PackedBase(vringBase: base, size: size) != nil else { throw .base(base) }
        } else {
            guard QueueSize(UInt32(size)) != nil else {
                throw .ringSize(UInt32(size), largest: device.largestQueue)
            }
            guard base <= UInt32(UInt16.max) else { throw .base(base) }
        }
    }

    /// Takes a ring back from its worker: everything it took is done and shown to the driver, or is
    /// in the inflight buffer.
    func stop(_ vring: Vring, _ manner: StopManner = .drain) throws(Refusal) {
        guard vring.isRunning else { return vring.stop(base: vring.base) }
        guard case .stopped(let base, let counters) = try ask(vring, .stop(manner)) else {
            throw .interrupted
        }
        vring.stop(base: base)
        vring.stoppedAt = base
        logger.info("queue \(vring.index): \(counters)")
    }

    private func ask(
        _ vring: Vring, _ order: consuming QueueOrder
    ) throws(Refusal) -> WorkerAnswer? {
        do throws(SystemError) {
            return try workers.ask(vring.index, order, interruption: termination)
        } catch { throw .worker(error) }
    }

    private func tell(_ vring: Vring, _ order: consuming QueueOrder) throws(Refusal) {
        switch try ask(vring, order) {
        case .done, .stopped: return
        case .misplaced(let fault): throw .misplaced(vring.index, fault)
        case .failed(let error), .broken(let error): throw .worker(error)
        case nil: throw .interrupted
        }
    }

    /// Gives every running ring the memory that is now valid, and waits until none uses `removed`.
    func spreadMemory(removed: [Mapping]) throws(Refusal) {
        if vrings.contains(where: { $0.isRunning }) {
            switch workers.spread(map, removed: removed, interruption: termination) {
            case .failed(let error), .broken(let error): throw .worker(error)
            case nil: throw .interrupted
            default: break
            }
        }
        for vring in vrings {
            // A ring whose memory has still not come goes on waiting for it.
            do throws(Refusal) { try startIfReady(vring) } catch {
                guard case .misplaced = error else { throw error }
            }
        }
    }
}

extension QueueCounters: CustomStringConvertible {
    public var description: String {
        var text = "\(requests) requests, \(bytesRead) bytes read, \(bytesWritten) written"
        if failed > 0 { text += ", \(failed) failed" }
        if unsupported > 0 { text += ", \(unsupported) unsupported" }
        if malformed > 0 { text += ", \(malformed) malformed" }
        if violations > 0 { text += ", broken by its driver" }
        return text + "; \(kicks) kicks, \(calls) calls"
    }
}
