import ArgumentParser
import Host
import NetPorts
import VirtioNet

/// What the network device is, and what is behind it.
struct NetDeviceOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            What is behind the guest's network card. tap:NAME: a TAP of the host's, made where it \
            is missing; tapfd:N: one that is open as descriptor N; passt:SOCKET: Debian's passt, \
            for which nobody needs to be root; for benchmarks null: (takes all, gives nothing), \
            copy: (the same, copied into memory of its own first), loopback: (all comes back) and \
            generate:BYTES (as many packets as the guest takes).
            """,
            valueName: "uri"))
    var port: String

    @Option(
        help: ArgumentHelp(
            "The card's address, where the VMM does not choose it (default: a random one).",
            valueName: "mac"))
    var mac: String?

    @Option(help: ArgumentHelp("The largest packet without its Ethernet header.", valueName: "n"))
    var mtu: UInt16?

    @Option(help: ArgumentHelp("Pairs of queues offered, 1 to 127.", valueName: "n"))
    var queuePairs: Int = 1

    @Option(help: ArgumentHelp("Entries of the largest queue, a power of two.", valueName: "n"))
    var queueSizeMax: UInt32 = 1024

    @Flag(
        inversion: .prefixedNo,
        help: "Whether packets may be put into several of the guest's buffers.")
    var mrg = true

    func uri() throws -> PortURI {
        guard let uri = PortURI(port) else {
            throw ValidationError(
                "--port \(port): not tap:NAME, tapfd:N, passt:SOCKET, null:, copy:, loopback:"
                    + " or generate:BYTES")
        }
        return uri
    }

    func options(takes: NetOffloads, gives: NetOffloads) throws -> NetOptions {
        guard (1...127).contains(queuePairs) else {
            throw ValidationError("--queue-pairs \(queuePairs): 1 to 127")
        }
        guard queueSizeMax.nonzeroBitCount == 1, queueSizeMax <= 32_768 else {
            throw ValidationError("--queue-size-max \(queueSizeMax): a power of two up to 32768")
        }
        if let mtu, mtu < 68 {
            throw ValidationError("--mtu \(mtu): 68 to 65535")
        }
        var address = MACAddress.random()
        if let mac {
            guard let named = MACAddress(mac), !named.isMulticast else {
                throw ValidationError("--mac \(mac): not an address like 52:54:00:12:34:56")
            }
            address = named
        }
        var options = NetOptions(mac: address)
        options.mtu = mtu
        options.pairs = queuePairs
        options.largestQueue = queueSizeMax
        options.takes = takes
        options.gives = gives
        options.isMergeable = mrg
        options.hasControlQueue = true
        return options
    }
}
