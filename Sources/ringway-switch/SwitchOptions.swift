import ArgumentParser
import CommandLineOptions
import EthernetSwitch
import Host
import NetPorts
import VirtioNet
import VirtioSpec

/// What the switch's ports are.
struct SwitchOptions: ParsableArguments {
    @Option(
        parsing: .singleValue,
        help: ArgumentHelp(
            "Listen on this Unix socket for a guest; once for each port, 64 at most.",
            valueName: "socket"))
    var port: [String] = []

    @Option(
        help: ArgumentHelp(
            "A TAP of the host's as one more port, made where it is missing.",
            valueName: "tap:name"))
    var uplink: String?

    @Option(
        parsing: .singleValue,
        help: ArgumentHelp(
            """
            Which VLANs a port carries. 2=access:10: port 2, counted from 1, is in VLAN 10 without \
            tags; 3=trunk:10,20-29,native:1: these with tags, and VLAN 1 without; others=...: all \
            ports that are not named.
            """,
            valueName: "port=vlans"))
    var vlan: [String] = []

    @Option(
        help: ArgumentHelp(
            "The largest packet without its Ethernet header, which guests are told.",
            valueName: "n"))
    var mtu: UInt16?

    @Option(help: ArgumentHelp("Entries of the largest queue, a power of two.", valueName: "n"))
    var queueSizeMax: UInt32 = 1024

    @Flag(
        inversion: .prefixedNo,
        help: "Whether packets may be put into several of a guest's buffers.")
    var mrg = true

    @Option(help: ArgumentHelp("The sockets' permissions, as 660.", valueName: "mode"))
    var socketMode: String?

    @Option(help: ArgumentHelp("The sockets' user, by name or number.", valueName: "user"))
    var socketOwner: String?

    @Option(help: ArgumentHelp("The sockets' group, by name or number.", valueName: "group"))
    var socketGroup: String?

    /// What each port carries; the uplink's is the last.
    func plan() throws -> [PortVLANs] {
        guard !port.isEmpty else {
            throw ValidationError("no port: give --port SOCKET once for each guest")
        }
        let most = PortSet.capacity - (uplink == nil ? 0 : 1)
        guard port.count <= most else {
            throw ValidationError("--port: \(port.count) of them; \(most) at most")
        }
        if let path = port.first(where: { path in port.filter { $0 == path }.count > 1 }) {
            throw ValidationError("--port \(path): given twice")
        }
        do throws(VLANFault) {
            return try VLANPlan.ports(vlan, guests: port.count, hasUplink: uplink != nil)
        } catch { throw ValidationError("\(error)") }
    }

    /// A port's network card, with an address of its own.
    func options() throws -> NetOptions {
        guard queueSizeMax.nonzeroBitCount == 1, queueSizeMax <= 32_768 else {
            throw ValidationError("--queue-size-max \(queueSizeMax): a power of two up to 32768")
        }
        if let mtu, mtu < 68 { throw ValidationError("--mtu \(mtu): 68 to 65535") }
        var options = NetOptions(mac: .random())
        options.mtu = mtu
        options.largestQueue = queueSizeMax
        // What one guest leaves unfinished, the switch finishes where another wants it.
        options.takes = .all
        options.gives = .all
        options.isMergeable = mrg
        return options
    }

    /// The TAP that is the uplink, if there is to be one.
    func tap() throws -> TapPort? {
        guard let uplink else { return nil }
        switch PortURI(uplink) {
        case .tap(let name): return try TapPort(name: name, queues: 1)
        case .tapDescriptors(let numbers) where numbers.count == 1:
            return try TapPort(adopting: numbers)
        default: throw ValidationError("--uplink \(uplink): not tap:NAME or tapfd:N")
        }
    }

    /// The uplink's own end of the switch, as a card whose driver has agreed to all it offers.
    static func uplinkDevice(_ tap: TapPort) -> NetDevice {
        let device = NetDevice(NetOptions(mac: .random(), takes: tap.gives, gives: tap.takes))
        device.accept(device.features.union(.version1))
        return device
    }

    func listen(_ number: Int) throws -> UnixListener {
        try SocketOptions.listen(
            port[number], mode: socketMode, owner: socketOwner, group: socketGroup,
            option: "--port")
    }
}
