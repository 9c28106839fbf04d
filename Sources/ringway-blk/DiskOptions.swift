import ArgumentParser
import BlockStores
import Host
import VirtioBlock

enum OnOff: String, CaseIterable, ExpressibleByArgument { case on, off }

extension CacheMode: ExpressibleByArgument {}

/// What the disk is and how the guest sees it.
struct DiskOptions: ParsableArguments {
    @Option(help: ArgumentHelp("A raw disk image or a block device.", valueName: "path"))
    var blkFile: String?

    @Option(
        help: ArgumentHelp(
            "raw:PATH, memory:SIZE (gone at exit) or null:SIZE (keeps nothing); SIZE as 512M, 1G.",
            valueName: "uri"))
    var store: String?

    @Flag(help: "The guest can't write, and other readers may share the file.")
    var readOnly = false

    @Option(help: "The disk's serial number, at most 20 bytes: /dev/disk/by-id in the guest.")
    var serial = ""

    @Option(
        help: ArgumentHelp(
            "Queues offered, 1 to 256 (default: the host's processors, 16 at least).",
            valueName: "n"))
    var numQueues: Int?

    @Option(help: ArgumentHelp("Entries of the largest queue, a power of two.", valueName: "n"))
    var queueSizeMax: UInt32 = 1024

    @Option(
        help: ArgumentHelp(
            "The guest's logical block, 512 or 4096 (default: what the store is made of).",
            valueName: "bytes"))
    var blockSize: UInt32?

    @Option(
        help: """
            writeback: the guest flushes; writethrough: every write is on stable storage when \
            acknowledged; direct: past the host's page cache.
            """)
    var cache: CacheMode = .writeback

    @Option(help: "Whether discarded space goes back to the host: on or off.")
    var discard: OnOff = .on

    func uri() throws -> StoreURI {
        switch (blkFile, store) {
        case (nil, nil):
            throw ValidationError("no disk: give --blk-file PATH or --store URI")
        case (.some, .some):
            throw ValidationError("--blk-file and --store name two disks; give one of them")
        case (.some(let path), nil): return .raw(path)
        case (nil, .some(let text)):
            guard let uri = StoreURI(text) else {
                throw ValidationError(
                    "--store \(text): not raw:PATH, memory:SIZE or null:SIZE (SIZE as 512M, 1G)")
            }
            if cache == .direct, case .raw = uri { return uri }
            guard cache != .direct else {
                throw ValidationError("--cache direct is for files and block devices only")
            }
            return uri
        }
    }

    func options(
        for store: some BlockStore, suitableBlockSize: UInt32
    ) throws -> BlockOptions {
        let block = blockSize ?? suitableBlockSize
        guard block == 512 || block == 4096 else {
            throw ValidationError("--block-size \(block): 512 or 4096")
        }
        let bytes = store.byteCount
        guard bytes > 0 else {
            throw ValidationError("\(store.name): is empty; give it a size: truncate -s 1G PATH")
        }
        guard bytes % UInt64(block) == 0 else {
            throw ValidationError(
                "\(store.name): \(bytes) bytes are not a multiple of the block size \(block);"
                    + " truncate -s %\(block) PATH rounds a file up")
        }
        let queues = numQueues ?? max(16, min(256, Processors.count))
        guard (1...256).contains(queues) else {
            throw ValidationError("--num-queues \(queues): 1 to 256")
        }
        guard queueSizeMax.nonzeroBitCount == 1, queueSizeMax <= 32_768 else {
            throw ValidationError("--queue-size-max \(queueSizeMax): a power of two up to 32768")
        }
        guard serial.utf8.count <= 20, serial.utf8.allSatisfy({ (0x20..<0x7f).contains($0) })
        else {
            throw ValidationError(
                "--serial: \(serial.utf8.count) bytes; a disk's serial has at most 20, printable")
        }
        return BlockOptions(
            byteCount: bytes, blockSize: block, isReadOnly: readOnly, serial: serial,
            queueCount: queues, largestQueue: queueSizeMax, canDiscard: discard == .on,
            cache: cache)
    }
}
