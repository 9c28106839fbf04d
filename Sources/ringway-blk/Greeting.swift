import BlockStores
import CommandLineOptions
import VirtioBlock

/// What is printed once at start: what is served, and how to attach a VMM to it.
struct Greeting {
    let socket: SocketOptions
    let options: BlockOptions
    let store: String

    var text: String {
        var facts = [
            "\(ByteSize(bytes: options.byteCount))", "\(options.blockSize)-byte blocks",
            "up to \(options.queueCount) queues", "cache \(options.cache.rawValue)",
        ]
        if options.isReadOnly { facts.append("read-only") }
        if !options.serial.isEmpty { facts.append("serial \(options.serial)") }
        let served = "ringway-blk: \(store): " + facts.joined(separator: ", ") + "\n"
        guard let path = socket.socketPath else {
            return served + "ringway-blk: on descriptor \(socket.fd ?? -1)\n"
        }
        return served + (socket.connect ? connecting(path) : listening(path))
    }

    private func listening(_ path: String) -> String {
        """
        ringway-blk: listening on \(path); attach with
          QEMU: -object memory-backend-memfd,id=mem,size=2G,share=on -m 2G \
        -machine q35,memory-backend=mem -chardev socket,id=disk,path=\(path),reconnect=1 \
        -device vhost-user-blk-pci,chardev=disk
          libvirt: <disk type='vhostuser' device='disk' snapshot='no'><driver name='qemu' \
        type='raw'/><source type='unix' path='\(path)'><reconnect enabled='yes' timeout='10'/>\
        </source><target dev='vda' bus='virtio'/></disk> and <memoryBacking><source \
        type='memfd'/><access mode='shared'/></memoryBacking>
          Cloud Hypervisor: --memory size=2G,shared=on \
        --disk vhost_user=true,socket=\(path),num_queues=1,queue_size=128

        """
    }

    private func connecting(_ path: String) -> String {
        """
        ringway-blk: connecting to \(path), where a VMM is to listen:
          QEMU: -object memory-backend-memfd,id=mem,size=2G,share=on -m 2G \
        -machine q35,memory-backend=mem -chardev socket,id=disk,path=\(path),server=on \
        -device vhost-user-blk-pci,chardev=disk

        """
    }
}
