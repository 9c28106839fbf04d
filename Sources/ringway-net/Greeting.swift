import CommandLineOptions
import VirtioNet

/// What is printed once at start: what is served, and how to attach a VMM to it.
struct Greeting {
    let socket: SocketOptions
    let options: NetOptions
    let port: String

    var text: String {
        var facts = ["\(options.mac)", "up to \(options.pairs) queue pairs"]
        if let mtu = options.mtu { facts.append("MTU \(mtu)") }
        let served = "ringway-net: \(port): " + facts.joined(separator: ", ") + "\n"
        guard let path = socket.socketPath else {
            return served + "ringway-net: on descriptor \(socket.fd ?? -1)\n"
        }
        return served + (socket.connect ? connecting(path) : listening(path))
    }

    private var queues: String { options.pairs > 1 ? ",queues=\(options.pairs)" : "" }
    private var multiqueue: String { options.pairs > 1 ? ",mq=on" : "" }

    private func listening(_ path: String) -> String {
        """
        ringway-net: listening on \(path); attach with
          QEMU: -object memory-backend-memfd,id=mem,size=2G,share=on -m 2G \
        -machine q35,memory-backend=mem -chardev socket,id=net,path=\(path),reconnect=1 \
        -netdev vhost-user,id=n,chardev=net\(queues) \
        -device virtio-net-pci,netdev=n,mac=\(options.mac)\(multiqueue)
          libvirt: <interface type='vhostuser'><mac address='\(options.mac)'/><source \
        type='unix' path='\(path)' mode='client'><reconnect enabled='yes' timeout='10'/>\
        </source><model type='virtio'/></interface> and <memoryBacking><source \
        type='memfd'/><access mode='shared'/></memoryBacking>
          Cloud Hypervisor: --memory size=2G,shared=on \
        --net vhost_user=true,socket=\(path),mac=\(options.mac),num_queues=\(2 * options.pairs)

        """
    }

    private func connecting(_ path: String) -> String {
        """
        ringway-net: connecting to \(path), where a VMM is to listen:
          QEMU: -object memory-backend-memfd,id=mem,size=2G,share=on -m 2G \
        -machine q35,memory-backend=mem -chardev socket,id=net,path=\(path),server=on \
        -netdev vhost-user,id=n,chardev=net\(queues) \
        -device virtio-net-pci,netdev=n,mac=\(options.mac)\(multiqueue)
          Cloud Hypervisor: --net vhost_user=true,vhost_mode=server,socket=\(path)

        """
    }
}
