import Host

/// By which any thread says that a device's configuration space has changed. The session that is under
/// way tells its front-end; a front-end that comes later reads the space as it is by then.
public final class ConfigurationSignal: Sendable {
    let event: EventFD

    init() throws(SystemError) { event = try EventFD() }

    /// Neither waits nor allocates. Many changes may come to one message.
    public func changed() { event.signal() }
}
