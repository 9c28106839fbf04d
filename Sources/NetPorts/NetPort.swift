/// What became of a packet that was given to a port.
public enum PortSend: Equatable, Sendable {
    case sent
    /// The port would not have it, and why (errno); the next may go.
    case dropped(Int32)
    /// There is no room: try again when the port's descriptor is writable.
    case full
    /// Nothing is behind the port any more. The packet is dropped.
    case lost
}
