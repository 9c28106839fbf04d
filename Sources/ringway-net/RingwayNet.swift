import ArgumentParser
import CommandLineOptions
import Host
import Logging
import NetPorts
import VhostUserServer
import VirtioNet

@main
struct RingwayNet: Program {
    static let configuration = CommandConfiguration(
        commandName: "ringway-net",
        abstract: "Serves a network card to a virtual machine over vhost-user.",
        usage: "ringway-net --socket-path /tmp/net.sock --port tap:vm0 [options]",
        discussion: """
            Any VMM that speaks vhost-user-net can attach to the socket: QEMU, libvirt, Cloud \
            Hypervisor, crosvm. The guest's memory must be shared with this process; the lines \
            printed at start show the options that do so. No hugepages are needed.

            Examples:
              ip tuntap add vm0 mode tap multi_queue user $USER   # once, as root
              ringway-net --socket-path /tmp/n.sock --port tap:vm0 --queue-pairs 2
              passt --socket /tmp/passt.sock                      # as any user
              ringway-net --socket-path /tmp/n.sock --port passt:/tmp/passt.sock
              ringway-net --socket-path /tmp/n.sock --port loopback:
            """)
    static let capabilities = #"{"type":"net"}"#

    @OptionGroup(title: "Socket") var socket: SocketOptions
    @OptionGroup(title: "Network") var network: NetDeviceOptions
    @OptionGroup(title: "Capture") var capture: CaptureArguments
    @OptionGroup(title: "Workers") var workers: WorkerArguments

    @Option(help: "trace, debug, info, notice, warning, error or critical.")
    var logLevel: Logger.Level = .info

    @Flag(help: "Print what this program can do, as JSON, and exit.")
    var printCapabilities = false

    static func main() { start() }

    func run() throws {
        let uri = try network.uri()
        let workerOptions = try workers.options()
        let (link, takes, gives) = try open(uri)
        let options = try network.options(takes: takes, gives: gives)
        let termination = try prepare()
        let endpoint = try socket.endpoint()
        let device = NetDevice(options)
        let server = try Server(
            NetEngine.self, NetService([device], link, capture: capture.capture()), device,
            workerOptions,
            termination: termination, endsOnDisconnect: socket.exitOnDisconnect,
            logger: Logger(label: "ringway-net"))
        StandardOutput.write(Greeting(socket: socket, options: options, port: network.port).text)
        Readiness.announce()
        server.run(endpoint)
    }

    /// What the guest is told of the MTU holds on the host's side, too.
    private func setMTU(of tap: TapPort) {
        guard let mtu = network.mtu.map({ Int($0) }), tap.mtu != mtu, !tap.setMTU(mtu) else {
            return
        }
        Logger(label: "ringway-net").warning(
            "\(tap.name) keeps its MTU, for want of permission: ip link set \(tap.name) mtu \(mtu)")
    }

    /// What is behind the card, and which unfinished packets it takes and gives.
    private func open(
        _ uri: PortURI
    ) throws -> (NetService.Link, takes: NetOffloads, gives: NetOffloads) {
        switch uri {
        case .null: return (.null, .all, [])
        case .copy: return (.copy, .all, [])
        case .generate(let bytes): return (.generator(bytes: bytes), .all, [])
        case .loopback: return (.loopback, .all, .all)
        case .tap(let name):
            return link(to: try TapPort(name: name, queues: network.queuePairs))
        case .tapDescriptors(let numbers):
            guard numbers.count == network.queuePairs else {
                throw ValidationError(
                    "--port \(uri): one descriptor for each queue pair; give --queue-pairs"
                        + " \(numbers.count)")
            }
            return link(to: try TapPort(adopting: numbers))
        case .passt(let path):
            guard network.queuePairs == 1 else {
                throw ValidationError("--queue-pairs \(network.queuePairs): passt has one pair")
            }
            return (.passt(path), [], [])
        }
    }

    private func link(
        to tap: TapPort
    ) -> (NetService.Link, takes: NetOffloads, gives: NetOffloads) {
        // Until the guest runs them: the kernel would give them packets.
        for queue in 1..<max(1, tap.queueCount) { tap.detach(queue) }
        setMTU(of: tap)
        return (.tap(tap), tap.takes, tap.gives)
    }
}
