import Testing
import VirtioNet

@Suite("Ethernet addresses")
struct MACAddressTests {
    @Test("The first byte on the wire is lowest")
    func order() throws {
        let address = try #require(MACAddress("52:54:00:ab:CD:0f"))
        #expect(address.rawValue == 0x0fcd_ab00_5452)
        #expect(address.bytes == [0x52, 0x54, 0, 0xab, 0xcd, 0x0f])
        #expect("\(address)" == "52:54:00:ab:cd:0f")
        #expect(MACAddress("\(address)") == address)
        // As a packet's first word holds it.
        #expect(MACAddress(rawValue: 0xffff_0fcd_ab00_5452) == address)
    }

    @Test(
        "Any other text is refused",
        arguments: [
            "", ":", "52:54:00:12:34", "52:54:00:12:34:56:78", "52:54:00:12:34:5",
            "52:54:00:12:34:567", "52:54:00:12:34:5g", "52-54-00-12-34-56", "525400123456",
            "52:54:00:12:34:", " 52:54:00:12:34:56",
            "+2:54:00:12:34:56", "-1:54:00:12:34:56", "52:54::12:34:56", "52:54:00:12:34:é",
        ])
    func otherText(text: String) { #expect(MACAddress(text) == nil) }

    @Test("Groups and everybody")
    func groups() throws {
        let one = try #require(MACAddress("52:54:00:12:34:56"))
        let group = try #require(MACAddress("33:33:00:00:00:01"))
        let all = try #require(MACAddress("ff:ff:ff:ff:ff:ff"))
        #expect([one, group, all].map(\.isMulticast) == [false, true, true])
        #expect([one, group, all].map(\.isBroadcast) == [false, false, true])
    }

    @Test("A random address is one station's, and locally administered")
    func random() {
        let addresses = (0..<200).map { _ in MACAddress.random() }
        #expect(addresses.allSatisfy { !$0.isMulticast && $0.rawValue & 2 != 0 })
        #expect(Set(addresses).count == 200)
    }
}
