import GuestMemory
import Host
import Logging
import VhostUserProtocol
import VirtioDevice
import VirtioSpec

/// One front-end's connection, from its first message to its last: the state that messages change
/// and the answers they get. Runs on the control thread alone; workers own the rings that run.
final class Session {
    let device: any VirtioDevice
    let workers: DeviceWorkers
    let logger: Logger
    /// Readable when this process is to end.
    let termination: Int32

    var negotiated = Message.Negotiated()
    var map = GuestMap.empty
    var vrings: [Vring]
    /// Where requests in flight are recorded, if the front-end keeps them.
    var inflight: InflightBuffer?
    var hasSaidInflight = false
    /// A descriptor that goes with the next reply.
    var attachment: OwnedFD?
    private var status: UInt64 = 0
    private var hasSaidFeatures = false
    /// A memory table or a region has come.
    var hasHadMemory = false
    private var refusals = 0
    private static let refusalsSaid = 20

    init(_ workers: DeviceWorkers, termination: Int32, _ logger: Logger) {
        device = workers.device
        self.workers = workers
        self.logger = logger
        self.termination = termination
        vrings = (0..<workers.device.queueCount).map { Vring(index: $0) }
    }

    var protocolFeaturesOffered: ProtocolFeatures {
        device.protocolFeatures.union([
            .multiqueue, .replyAck, .backendRequests, .config, .resetDevice, .memorySlots, .status,
        ]).subtracting(device.protocolFeaturesWithheld)
    }

    var featuresOffered: Features {
        device.features.union([
            .version1, .indirectDescriptors, .eventIndex, .packedRing, .ringReset,
            .protocolFeatures,
        ])
    }

    /// Serves messages until the connection ends, then leaves the device as no driver had touched
    /// it. Returns why it ended.
    func serve(_ channel: borrowing MessageChannel) -> MessageChannel.End {
        var end = MessageChannel.End.disconnected
        do throws(MessageChannel.End) {
            while true { try serveOne(channel) }
        } catch { end = error }
        if hasSaidFeatures, !hasHadMemory {
            // QEMU, for one, gives up like this where it has no memory that it could share.
            logger.warning(
                "the front-end shared no memory; if a guest was to run, \(Hint.memoryNotShared)")
        }
        if end != .terminated { stopAll() }
        return end
    }

    private func serveOne(_ channel: borrowing MessageChannel) throws(MessageChannel.End) {
        var descriptors = ReceivedFDs()
        let (header, payload) = try channel.receive(&descriptors)
        let answer = answer(header, payload, &descriptors)
        // Asked afterwards: the message may have been the one that agreed on replies.
        let wantsReply = header.wantsReply && negotiated.protocolFeatures.contains(.replyAck)
        switch answer {
        case .reply(let reply):
            try channel.send(reply.encode(for: header.request), descriptor: attachment?.raw)
            attachment = nil
        case .done:
            if wantsReply { try channel.send(Reply.number(0).encode(for: header.request)) }
        case .refused(let reason, let hasOwnReply):
            sayRefused(reason)
            // A message with a reply of its own has no place for a refusal in it.
            guard wantsReply, !hasOwnReply else { throw .refused }
            try channel.send(Reply.number(1).encode(for: header.request))
        case .interrupted: throw .terminated
        }
    }

    /// Says what was refused, but not for ever: a front-end may repeat itself.
    private func sayRefused(_ reason: String) {
        refusals &+= 1
        if refusals <= Self.refusalsSaid { logger.error("refused: \(reason)") }
        if refusals == Self.refusalsSaid {
            logger.error("what this front-end is refused from here on is not said any more")
        }
    }

    private enum Answer {
        case reply(Reply)
        case done
        case refused(String, hasOwnReply: Bool)
        case interrupted
    }

    private func answer(
        _ header: MessageHeader, _ payload: [UInt8], _ descriptors: inout ReceivedFDs
    ) -> Answer {
        let message: Message
        do throws(ProtocolViolation) {
            message = try Message.decode(
                header, payload, descriptors: descriptors.count, negotiated: negotiated)
        } catch { return .refused("\(error)", hasOwnReply: Rule.hasOwnReply(header.request)) }
        do throws(Refusal) {
            guard let reply = try perform(message, &descriptors) else { return .done }
            return .reply(reply)
        } catch {
            if error == .interrupted { return .interrupted }
            return .refused("\(error)", hasOwnReply: Rule.hasOwnReply(header.request))
        }
    }

    /// Does what a message asks. Returns its own reply, or nil where it has none.
    private func perform(
        _ message: Message, _ descriptors: inout ReceivedFDs
    ) throws(Refusal) -> Reply? {
        switch message {
        case .getFeatures: return .number(featuresOffered.rawValue)
        case .setFeatures(let features): try setFeatures(features)
        case .setOwner: break
        // Deprecated, and sent by nobody who means it: the rings are stopped one by one.
        case .resetOwner: break
        case .setMemoryTable(let regions): try setMemoryTable(regions, &descriptors)
        case .addMemoryRegion(let region): try addRegion(region, &descriptors)
        case .removeMemoryRegion(let region): try removeRegion(region)
        case .getMaxMemorySlots: return .number(UInt64(VhostUserLayout.memorySlots))
        case .setVringNum(let state): try setSize(state)
        case .setVringAddress(let address): try setAddress(address)
        case .setVringBase(let state): try setBase(state)
        case .getVringBase(let state): return try getBase(state, manner(of: state))
        case .setVringKick(let target): try setKick(target, &descriptors)
        case .setVringCall(let target): try setCall(target, &descriptors)
        case .setVringError(let target): try setError(target, &descriptors)
        case .setVringEnable(let state): try setEnable(state)
        case .getProtocolFeatures: return .number(protocolFeaturesOffered.rawValue)
        case .setProtocolFeatures(let features): try setProtocolFeatures(features)
        case .getQueueCount: return .number(UInt64(device.queueNumber))
        case .sendRARP(let mac):
            guard device.announce(mac: mac) else { throw .announcement }
        case .netSetMTU(let mtu):
            guard device.setMTU(mtu) else { throw .mtu(mtu) }
        // Nothing is sent there yet, so it is closed: kept, it could be the other end of this very
        // connection, whose end we would then never see.
        case .setBackendRequestFD: break
        case .getConfig(let access): return .config(configuration(access))
        case .setConfig(let access): try setConfiguration(access)
        case .resetDevice: try resetDevice()
        // Rings are stopped by GET_VRING_BASE, even where a front-end sets a status of 0 before: so
        // the status is only kept.
        case .setStatus(let value): status = value
        case .getStatus: return .number(status)
        case .getInflightFD(let wanted): return try getInflight(wanted)
        case .setInflightFD(let told): try setInflight(told, &descriptors)
        case .getVringBaseSkipDrain(let state): return try getBase(state, .suspend)
        }
        return nil
    }

    private func setFeatures(_ features: Features) throws(Refusal) {
        let unknown = features.subtracting(featuresOffered)
        guard unknown.isEmpty else { throw .features(unknown) }
        let changed = features.symmetricDifference(negotiated.features)
        if !changed.subtracting(.protocolFeatures).isEmpty {
            guard !vrings.contains(where: { $0.isRunning }) else { throw .featuresWhileRunning }
        }
        negotiated.features = features
        device.accept(features)
        sayFeatures()
        guard !features.contains(.protocolFeatures) else { return }
        for vring in vrings { try enable(vring, true) }
    }

    private func sayFeatures() {
        guard !hasSaidFeatures else { return }
        hasSaidFeatures = true
        let features = String(negotiated.features.rawValue, radix: 16)
        let kind = negotiated.features.contains(.version1) ? "virtio 1" : "legacy virtio"
        logger.info("features 0x\(features), \(kind)")
    }

    private func setProtocolFeatures(_ features: ProtocolFeatures) throws(Refusal) {
        let unknown = features.subtracting(protocolFeaturesOffered)
        guard unknown.isEmpty else { throw .protocolFeatures(unknown) }
        negotiated.protocolFeatures = features
    }

    /// The piece asked for, with zeroes after the device's own fields; nil where it leaves the space.
    private func configuration(_ access: ConfigAccess) -> ConfigAccess? {
        let offset = Int(access.offset)
        let count = access.bytes.count
        guard offset <= VhostUserLayout.configBytes, count <= VhostUserLayout.configBytes - offset
        else { return nil }
        let own = device.configuration.dropFirst(offset).prefix(count)
        return access.answered(own + [UInt8](repeating: 0, count: count - own.count))
    }

    private func setConfiguration(_ access: ConfigAccess) throws(Refusal) {
        guard device.writeConfiguration(access.bytes, at: Int(access.offset)) else {
            throw .configuration(offset: access.offset, count: access.bytes.count)
        }
    }

    private func resetDevice() throws(Refusal) {
        for vring in vrings {
            try stop(vring)
            vring.isEnabled = false
        }
        negotiated.features = []
        inflight = nil
        status = 0
        device.reset()
    }

    private func stopAll() {
        for vring in vrings { try? stop(vring) }
        map = .empty
        inflight = nil
        // The device's own state stays. A driver that has turned the write cache off does not say
        // so again after its VMM has reconnected, and goes on without flushing.
    }
}

extension Rule {
    /// Whether the message `request` is answered with a reply of its own.
    fileprivate static func hasOwnReply(_ request: UInt32) -> Bool {
        VhostUserRequest(rawValue: request).flatMap { Rule.of($0) }?.answer == .inKind
    }
}
