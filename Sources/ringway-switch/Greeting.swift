import VirtioNet

/// What is printed once at start: the ports, and how to attach VMMs to them.
struct Greeting {
    let sockets: [String]
    let options: [NetOptions]

    var text: String {
        var lines = ["ringway-switch: \(sockets.count) ports; attach VMMs with"]
        lines.append(
            "  QEMU: -object memory-backend-memfd,id=mem,size=2G,share=on -m 2G"
                + " -machine q35,memory-backend=mem, and for a port")
        for (number, path) in sockets.enumerated() {
            let mac = options[number].mac
            lines.append(
                "    \(number + 1): -chardev socket,id=net,path=\(path),reconnect=1"
                    + " -netdev vhost-user,id=n,chardev=net -device virtio-net-pci,netdev=n,mac=\(mac)"
            )
        }
        lines.append(
            "  libvirt: <interface type='vhostuser'><source type='unix' path='SOCKET'"
                + " mode='client'><reconnect enabled='yes' timeout='10'/></source>"
                + "<model type='virtio'/></interface> and <memoryBacking>"
                + "<source type='memfd'/><access mode='shared'/></memoryBacking>")
        lines.append(
            "  Cloud Hypervisor: --memory size=2G,shared=on --net vhost_user=true,socket=SOCKET")
        return lines.map { $0 + "\n" }.joined()
    }
}
