import Host
import NetPorts
import Testing

@Suite("What --port names")
struct PortURITests {
    @Test(
        "Ports are read, and written as they were",
        arguments: [
            ("tap:tap0", PortURI.tap("tap0")), ("tap:fifteen-letters", .tap("fifteen-letters")),
            ("tap:vm%d", .tap("vm%d")), ("tapfd:5", .tapDescriptors([5])),
            ("tapfd:5,6,17", .tapDescriptors([5, 6, 17])),
            ("passt:/tmp/passt:1.socket", .passt("/tmp/passt:1.socket")), ("null:", .null),
            ("copy:", .copy), ("loopback:", .loopback), ("generate:64", .generate(64)),
            ("generate:14", .generate(14)),
            ("generate:65550", .generate(65_550)),
        ])
    func known(text: String, uri: PortURI) {
        #expect(PortURI(text) == uri)
        #expect("\(uri)" == text)
    }

    @Test(
        "Everything else is refused",
        arguments: [
            "", "tap", "tap:", "tap:sixteen-letters-", "tap:a/b", "tap:a b", "tap:a:b", "tap:.",
            "tap:..", "tap:é", "tap:a\n", "TAP:tap0", "tapfd:", "tapfd:-1", "tapfd:+1", "tapfd:5,",
            "tapfd:5,5", "tapfd:99999999999", "tapfd:x", "passt:", "passt", "null", "null:1",
            "copy", "copy:1", "loopback:x", "generate:", "generate:13", "generate:65551",
            "generate:-64",
            "generate:64 ", "generate:9223372036854775808", "vde:x", ":",
        ])
    func unknown(text: String) { #expect(PortURI(text) == nil) }

    @Test(
        "Faults name the way out",
        arguments: [
            (PortFault.tap("t", SystemError("open", SystemErrorCode.noEntry)), "modprobe tun"),
            (.tap("t", SystemError("open", SystemErrorCode.accessDenied)), "run as root"),
            (.tap("t", SystemError("TUNSETIFF", SystemErrorCode.busy)), "in use"),
            (.tap("t", SystemError("TUNSETIFF", SystemErrorCode.tooMany)), "fewer queue pairs"),
            (.oneQueue("t"), "ip tuntap add dev t mode tap multi_queue"),
            (.absent("t"), "ip tuntap add dev t"), (.notATap("t"), "another name"),
            (.handedIn("t"), "start anew"), (.notATapDescriptor(4), "TUNSETIFF"),
            (.unfit(4, "t"), "IFF_VNET_HDR"), (.differentTaps(["a", "b"]), "a, b"),
            (.passt("/p", SystemError("connect", SystemErrorCode.noEntry)), "passt --socket /p"),
            (.passt("/p", SystemError("connect", SystemErrorCode.notConnected)), "start passt"),
            (.passt("/p", SystemError("connect", SystemErrorCode.accessDenied)), "one user"),
            (.passt("/p", SystemError("connect", SystemErrorCode.nameTooLong)), "107"),
            (.notAFile("/c"), "regular file"), (.captureInUse("/c", nil), "in use"),
        ])
    func faults(fault: PortFault, words: String) {
        let text = "\(fault)"
        #expect(text.contains(words), "\(text)")
        #expect(!text.contains("\n"))
    }
}
