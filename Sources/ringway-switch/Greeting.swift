import VirtioNet

/// What is printed once at start: the ports, and how to attach VMMs to them.
struct Greeting {
    let sockets: [String]
    let options: [NetOptions]
    /// What the uplink is, if there is one.
    let uplink: String?

    var text: String {
        let ports = "\(sockets.count) port\(sockets.count == 1 ? "" : "s")"
        let facts = uplink.map { "\(ports) and the uplink \($0)" } ?? ports
        return """
            ringway-switch: \(facts); every VMM needs shared memory:
              QEMU: -object memory-backend-memfd,id=mem,size=2G,share=on -m 2G \
            -machine q35,memory-backend=mem
              libvirt: <memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>
              Cloud Hypervisor: --memory size=2G,shared=on

            """ + sockets.indices.map(port).joined()
    }

    private func port(_ number: Int) -> String {
        let (path, mac) = (sockets[number], options[number].mac)
        return """
            ringway-switch: port \(number + 1): listening on \(path); attach with
              QEMU: -chardev socket,id=net,path=\(path),reconnect=1 \
            -netdev vhost-user,id=n,chardev=net -device virtio-net-pci,netdev=n,mac=\(mac)
              libvirt: <interface type='vhostuser'><mac address='\(mac)'/><source type='unix' \
            path='\(path)' mode='client'><reconnect enabled='yes' timeout='10'/></source>\
            <model type='virtio'/></interface>
              Cloud Hypervisor: --net vhost_user=true,socket=\(path),mac=\(mac)

            """
    }
}
