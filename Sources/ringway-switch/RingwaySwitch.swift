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
            An Ethernet switch that learns. Each --port is a socket for one virtual machine; its \
            memory must be shared with this process, as the lines printed at start show. A packet \
            is copied once, from one guest's memory into another's.

            Without --vlan all ports are one network, and tags pass as they are.

            Examples:
              ringway-switch --port /tmp/a.sock --port /tmp/b.sock --port /tmp/c.sock
              ringway-switch --port /tmp/a.sock --port /tmp/b.sock --port /tmp/c.sock \
            --vlan others=access:10 --vlan 3=trunk:10,20-29,native:1
              ringway-switch --port /tmp/a.sock --port /tmp/b.sock --uplink tap:vm0
            """)
    static let capabilities = #"{"type":"net"}"#

    @OptionGroup(title: "Ports") var ports: SwitchOptions
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
        let loggers = plan.indices.map { number in
            let name = number < options.count ? "port \(number + 1)" : "uplink"
            return Logger(label: "ringway-switch \(name)")
        }
        let link = SwitchLink(SwitchTable(ports: plan), uplink: tap, loggers: loggers)
        let devices =
            options.map { NetDevice($0) } + (tap.map { [SwitchOptions.uplinkDevice($0)] } ?? [])
        let group = try ServerGroup(
            NetEngine.self, NetService(devices, .switch(link)), devices,
            { $0 < options.count ? .listener(try ports.listen($0)) : nil }, workerOptions,
            termination: termination, logger: Logger(label: "ringway-switch"), loggers: loggers)
        StandardOutput.write(Greeting(sockets: ports.port, options: options).text)
        Readiness.announce()
        try group.run()
    }
}
