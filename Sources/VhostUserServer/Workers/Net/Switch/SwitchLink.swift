import EthernetSwitch
import Host
import Logging
import NetPorts
import VirtioSpec

/// A switch between the devices of one `NetService`: device n is at port n, and one worker serves
/// them all. The worker takes the table out for a breath and puts it back, so that no packet asks for
/// it.
public final class SwitchLink: Sendable {
    private struct State: ~Copyable {
        var table: SwitchTable?
        /// The second in which notices were last looked for.
        var second: UInt32 = 0
    }

    private let state: Locked<State>
    /// One for each port.
    private let loggers: [Logger]
    /// The TAP behind the last port, where there is no guest.
    let uplink: TapPort?
    private let lastPort: Int

    /// - Parameters:
    ///   - uplink: what is behind the table's last port, if no guest is.
    ///   - loggers: one for each port of the table.
    public init(
        _ table: consuming sending SwitchTable, uplink: TapPort? = nil, loggers: [Logger]
    ) {
        precondition(loggers.count == table.portCount)
        self.uplink = uplink
        self.loggers = loggers
        lastPort = table.portCount - 1
        state = Locked(State(table: table))
    }

    /// The local number of the queue into the guest at `port`.
    @inline(__always)
    static func receiver(_ port: Int) -> Int { port * NetLayout.queuesPerPair }

    /// The TAP behind `port`; nil where a guest is.
    @inline(__always)
    func tap(_ port: Int) -> TapPort? { port == lastPort ? uplink : nil }

    func logger(_ port: Int) -> Logger { loggers[port] }

    // A worker's breath.

    func take() -> SwitchTable? { state.withLock { $0.table.take() } }

    /// - Parameter now: as the table has it.
    func putBack(_ table: consuming sending SwitchTable, now: UInt32) {
        var table = Optional(table)
        state.withLock { state in
            state.table = table.take()
            guard state.second != now else { return }
            state.second = now
            while let notice = state.table?.takeNotice() { say(notice) }
        }
    }

    private func say(_ notice: SwitchNotice) {
        switch notice {
        case .moving(let address, let vlan, let old, let port):
            let place = vlan == 0 ? "" : " in VLAN \(vlan)"
            loggers[port].warning(
                "\(address)\(place) keeps moving between ports \(old + 1) and \(port + 1): a loop, or an address with two owners"
            )
        case .crowded(let port, let stations):
            loggers[port].warning(
                "more stations send from the port than the table has places for; it knows \(stations) of them"
            )
        }
    }

    // Guests.

    /// The guest at `port` receives from here on.
    func attach(_ port: Int) { state.withLock { $0.table?.attach(port) } }

    /// The guest at `port` has gone.
    func detach(_ port: Int) {
        state.withLock { state in
            if let counters = state.table?.counters(port) {
                loggers[port].info("since the start: \(counters)")
            }
            state.table?.detach(port)
        }
    }

    /// What was counted at a port; nil while a breath has the table.
    public func counters(_ port: Int) -> PortCounters? {
        state.withLock { $0.table?.counters(port) }
    }

    /// The clock that stations age by, in seconds.
    static func now() -> UInt32 { UInt32(truncatingIfNeeded: Clock.nanoseconds() / 1_000_000_000) }
}
