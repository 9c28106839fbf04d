import ArgumentParser
import CommandLineOptions
import EthernetSwitch
import Host
import Logging
import VhostUserServer
import VirtioNet

@main
struct RingwaySwitch: Program {
    static let configuration = CommandConfiguration(
        commandName: "ringway-switch",
        abstract: "Connects virtual machines' network cards with each other over vhost-user.",
        usage: "ringway-switch --port /tmp/a.sock --port /tmp/b.sock [options]",
        discussion: """
            An Ethernet switch that learns. Each --port is a socket for one virtual machine, which \
            any VMM that speaks vhost-user-net can attach to it: QEMU, libvirt, Cloud Hypervisor. \
            Its memory must be shared with this process; the lines printed at start show the \
            options for each port. A packet is copied once, from one guest's memory into another's. \
            Guests may come and go at any time; the others don't notice.

            Without --vlan all ports are one network, and tags pass as they are. --uplink joins a \
            TAP of the host's to it, and so the host, or what is bridged with the TAP.

            Examples:
              ringway-switch --port /tmp/a.sock --port /tmp/b.sock --port /tmp/c.sock
              ringway-switch --port /tmp/a.sock --port /tmp/b.sock --port /tmp/c.sock \
            --vlan others=access:10 --vlan 3=trunk:10,20-29,native:1
              ip tuntap add vm0 mode tap user $USER               # once, as root
              ringway-switch --port /tmp/a.sock --port /tmp/b.sock --uplink tap:vm0
            """)
    static let capabilities = #"{"type":"net"}"#

    @OptionGroup(title: "Ports") var ports: SwitchOptions
    @OptionGroup(title: "Capture") var capture: CaptureArguments
    @OptionGroup(title: "Workers") var workers: WorkerArguments

    @Option(help: "trace, debug, info, notice, warning, error or critical.")
    var logLevel: Logger.Level = .info

    @Flag(help: "Print what this program can do, as JSON, and exit.")
    var printCapabilities = false

    static func main() { start() }

    func run() throws {
        let plan = try ports.plan()
        let options = try ports.port.map { _ in try ports.options() }
        let workerOptions = try workers.options()
        guard workerOptions.cpus.count <= 1 else {
            throw ValidationError("--cpus: one thread serves all ports; name one processor")
        }
        let termination = try prepare()
        let tap = try ports.tap()
        let names = plan.indices.map { $0 < options.count ? "port \($0 + 1)" : "uplink" }
        let loggers = names.map { Logger(label: "ringway-switch \($0)") }
        let link = SwitchLink(SwitchTable(ports: plan), uplink: tap, loggers: loggers)
        let devices =
            options.map { NetDevice($0) } + (tap.map { [SwitchOptions.uplinkDevice($0)] } ?? [])
        var listeners = try Table(trying: options.count) { Optional(try ports.listen($0)) }
        let service = NetService(
            devices, .switch(link), capture: try capture.capture(interfaces: names))
        let group = try ServerGroup(
            NetEngine.self, service, devices,
            { port in
                guard port < options.count, let listener = listeners[port].take() else {
                    return nil
                }
                return .listener(listener)
            },
            workerOptions,
            termination: termination, logger: Logger(label: "ringway-switch"), loggers: loggers)
        let uplink = tap.map { "tap:\($0.name)" }
        StandardOutput.write(Greeting(sockets: ports.port, options: options, uplink: uplink).text)
        Readiness.announce()
        try group.run()
    }
}
