import ArgumentParser
import BlockStores
import CommandLineOptions
import Host
import Logging
import VhostUserServer
import VirtioBlock

@main
struct RingwayBlk: Program {
    static let configuration = CommandConfiguration(
        commandName: "ringway-blk",
        abstract: "Serves a disk to a virtual machine over vhost-user.",
        usage: "ringway-blk --socket-path /tmp/disk.sock --blk-file disk.img [options]",
        discussion: """
            Any VMM that speaks vhost-user-blk can attach to the socket: QEMU, libvirt, Cloud \
            Hypervisor, crosvm, Firecracker. The guest's memory must be shared with this process; \
            the lines printed at start show the options that do so. When one VMM goes the next \
            may come.

            Examples:
              truncate -s 10G disk.img
              ringway-blk --socket-path /tmp/d.sock --blk-file disk.img --serial DISK-1
              ringway-blk --socket-path /tmp/d.sock --blk-file /dev/sdb --cache direct
              ringway-blk --socket-path /tmp/d.sock --store memory:4G
            """)

    @OptionGroup(title: "Socket") var socket: SocketOptions
    @OptionGroup(title: "Disk") var disk: DiskOptions
    @OptionGroup(title: "Workers") var workers: WorkerArguments

    @Option(help: "trace, debug, info, notice, warning, error or critical.")
    var logLevel: Logger.Level = .info

    @Flag(help: "Print what this program can do, as JSON, and exit.")
    var printCapabilities = false

    static let capabilities = #"{"type":"block","features":["read-only","blk-file"]}"#

    static func main() { start() }

    func run() throws {
        switch try disk.uri() {
        case .raw(let path):
            let options = RawStore.Options(
                isReadOnly: disk.readOnly, isDirect: disk.cache == .direct)
            let store = try RawStore(path: path, options)
            if let block = disk.blockSize, block < store.offsetAlignment {
                throw ValidationError(
                    "--block-size \(block): with --cache direct, \(path) wants"
                        + " \(store.offsetAlignment)")
            }
            try serve(RawLane.self, store, suitableBlockSize: store.suitableBlockSize)
        case .memory(let bytes):
            try serve(MemoryStore.Lane.self, MemoryStore(byteCount: bytes))
        case .null(let bytes): try serve(NullStore.Lane.self, NullStore(byteCount: bytes))
        }
    }

    private func serve<Lane: BlockLane & ~Copyable>(
        _ lane: Lane.Type, _ store: Lane.Store, suitableBlockSize: UInt32 = 512
    ) throws {
        let options = try disk.options(for: store, suitableBlockSize: suitableBlockSize)
        let workerOptions = try workers.options()
        let termination = try prepare()
        let endpoint = try socket.endpoint()
        let server = try Server(
            BlockEngine<Lane>.self, BlockService(BlockDevice(options), on: store), workerOptions,
            termination: termination, endsOnDisconnect: socket.exitOnDisconnect,
            logger: Logger(label: "ringway-blk"))
        StandardOutput.write(Greeting(socket: socket, options: options, store: store.name).text)
        Readiness.announce()
        server.run(endpoint)
    }
}
