import EthernetSwitch
import Host
import Logging
import NetPorts
import Synchronization
import VirtioSpec

/// A switch between the devices of one `NetService`: device n is at port n, and one worker serves
/// them all. The worker takes the table out for a breath and puts it back, so that no packet asks for
/// it.
public final class SwitchLink: Sendable {
    private let table: Baton<SwitchTable>
    /// The second in which notices were last looked for.
    private let second = Atomic<UInt32>(0)
    /// One for each port.
    private let loggers: [Logger]
    /// The TAP behind the last port, where there is no guest.
    let uplink: TapPort?
    /// No port at all where there is none.
    private let uplinkPort: Int

    /// - Parameters:
    ///   - uplink: what is behind the table's last port, if no guest is.
    ///   - loggers: one for each port of the table.
    public init(
        _ table: consuming sending SwitchTable, uplink: TapPort? = nil, loggers: [Logger]
    ) {
        precondition(loggers.count == table.portCount)
        self.uplink = uplink
        self.loggers = loggers
        uplinkPort = uplink == nil ? -1 : table.portCount - 1
        self.table = Baton(table)
    }

    /// The local number of the queue into the guest at `port`.
    @inline(__always)
    static func receiver(_ port: Int) -> Int { port * NetLayout.queuesPerPair }

    /// Whether a TAP is behind `port`, and no guest.
    @inline(__always)
    func isUplink(_ port: Int) -> Bool { port == uplinkPort }

    /// The TAP behind `port`; nil where a guest is. Counts a reference.
    @inline(__always)
    func tap(_ port: Int) -> TapPort? { isUplink(port) ? uplink : nil }

    func logger(_ port: Int) -> Logger { loggers[port] }

    // A worker's breath.

    /// Nil where somebody is reading its counters.
    @inline(__always)
    func take() -> SwitchTable? { table.take() }

    /// - Parameter now: as the table has it.
    @inline(__always)
    func putBack(_ table: consuming sending SwitchTable, now: UInt32) {
        if second.load(ordering: .relaxed) != now {
            second.store(now, ordering: .relaxed)
            while let notice = table.takeNotice() { say(notice) }
        }
        self.table.putBack(table)
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
    func attach(_ port: Int) { change { $0.attach(port) } }

    /// The guest at `port` has gone.
    func detach(_ port: Int) {
        change { table in
            loggers[port].info("since the start: \(table.counters(port))")
            table.detach(port)
        }
    }

    /// Between two breaths. Others have the table for a moment at most.
    private func change(_ body: (inout SwitchTable) -> Void) {
        while true {
            guard var table = table.take() else { continue }
            body(&table)
            return self.table.putBack(table)
        }
    }

    /// What was counted at a port; nil while a breath has the table.
    public func counters(_ port: Int) -> PortCounters? {
        guard let table = table.take() else { return nil }
        let counters = table.counters(port)
        self.table.putBack(table)
        return counters
    }

    /// The clock that stations age by, in seconds.
    static func now() -> UInt32 { UInt32(truncatingIfNeeded: Clock.nanoseconds() / 1_000_000_000) }
}
