import EthernetSwitch
import Testing

@Suite("What --vlan says")
struct VLANOptionTests {
    @Test(
        "Access and trunk ports",
        arguments: [
            ("1=access:10", .port(1), .access(10)), ("64=access:4094", .port(64), .access(4094)),
            ("uplink=trunk:10,20", .uplink, .trunk(VLANSet([10...10, 20...20]), native: nil)),
            ("2=trunk:10,20,native:1", .port(2), .trunk(VLANSet([10...10, 20...20]), native: 1)),
            ("2=trunk:native:1,5-7,6-9,10", .port(2), .trunk(VLANSet([5...10]), native: 1)),
            ("others=trunk:all", .others, .trunk(.all, native: nil)),
            ("3=trunk:native:7", .port(3), .trunk(VLANSet(), native: 7)),
        ] as [(String, VLANOption.Owner, PortVLANs)])
    func good(text: String, owner: VLANOption.Owner, vlans: PortVLANs) throws {
        let option = try VLANOption(text)
        #expect(option.owner == owner && option.vlans == vlans)
    }

    @Test(
        "What is wrong is named, and what would be right",
        arguments: [
            ("", "not of the form PORT=access:VLAN or PORT=trunk:VLAN,..."),
            ("access:10", "not of the form PORT=access:VLAN or PORT=trunk:VLAN,..."),
            ("1=access:10=2", "not of the form PORT=access:VLAN or PORT=trunk:VLAN,..."),
            (
                "0=access:10",
                "\"0\" is no port: a number from 1 in the order of --port, uplink, or others"
            ),
            (
                "65=access:10",
                "\"65\" is no port: a number from 1 in the order of --port, uplink, or others"
            ),
            (
                "=access:10",
                "\"\" is no port: a number from 1 in the order of --port, uplink, or others"
            ),
            ("1=acess:10", "\"acess\" is neither access nor trunk"),
            ("1=", "\"\" is neither access nor trunk"),
            ("1=access", "access: without a VLAN; one has a number from 1 to 4094"),
            ("1=trunk:", "trunk: without a VLAN; one has a number from 1 to 4094"),
            ("1=access:0", "\"0\" is no VLAN; one has a number from 1 to 4094"),
            ("1=access:4095", "\"4095\" is no VLAN; one has a number from 1 to 4094"),
            ("1=access:+5", "\"+5\" is no VLAN; one has a number from 1 to 4094"),
            ("1=access:٣", "\"٣\" is no VLAN; one has a number from 1 to 4094"),
            ("1=access:99999", "\"99999\" is no VLAN; one has a number from 1 to 4094"),
            ("1=access:10,20", "an access port is in one VLAN; a port in several is a trunk"),
            ("1=trunk:10,,20", "\"\" is no VLAN; one has a number from 1 to 4094"),
            ("1=trunk:10-", "\"\" is no VLAN; one has a number from 1 to 4094"),
            ("1=trunk:20-10", "20-10: the range ends before it begins"),
            ("1=trunk:1-2-3", "\"1-2-3\" is no VLAN; one has a number from 1 to 4094"),
            ("1=trunk:10,native:x", "\"x\" is no VLAN; one has a number from 1 to 4094"),
            (
                "1=trunk:native:1,native:2",
                "two native VLANs; frames without a tag can be in one only"
            ),
        ])
    func bad(text: String, reason: String) {
        #expect(throws: VLANFault(option: text, reason: reason)) { try VLANOption(text) }
    }

    @Test("A fault is one line with the option in it")
    func line() {
        let fault = VLANFault(option: "1=x", reason: "no")
        #expect("\(fault)" == "--vlan 1=x: no")
    }

    @Test("Without any option every port is transparent")
    func none() throws {
        let plan = try VLANPlan.ports([], guests: 2, hasUplink: true)
        #expect(plan == [.transparent, .transparent, .transparent])
    }

    @Test("Each port has its own, the uplink comes last, and the others have what others have")
    func plan() throws {
        let options = ["uplink=trunk:all", "2=access:20", "others=access:1"]
        let plan = try VLANPlan.ports(options, guests: 3, hasUplink: true)
        #expect(plan == [.access(1), .access(20), .access(1), .trunk(.all, native: nil)])
    }

    @Test("Only what is left over belongs to the others, the uplink too")
    func others() throws {
        let plan = try VLANPlan.ports(["others=access:9"], guests: 1, hasUplink: true)
        #expect(plan == [.access(9), .access(9)])
    }

    @Test(
        "A plan that does not fit the ports is refused",
        arguments: [
            (["1=access:1", "1=access:2"], "1=access:2", "port 1 has a --vlan already"),
            (
                ["others=access:1", "others=access:1"], "others=access:1",
                "others has a --vlan already"
            ),
            (["3=access:1"], "3=access:1", "the last --port is number 2"),
            (["uplink=access:1"], "uplink=access:1", "there is no --uplink"),
            (
                ["1=access:1"], "2=...",
                "missing; where one port has a --vlan each needs one, or others=access:VLAN for the rest"
            ),
            (["1=access:0"], "1=access:0", "\"0\" is no VLAN; one has a number from 1 to 4094"),
        ])
    func refused(options: [String], option: String, reason: String) {
        #expect(throws: VLANFault(option: option, reason: reason)) {
            try VLANPlan.ports(options, guests: 2, hasUplink: false)
        }
    }

    @Test("Ranges are put in order and together; what they do not cover stays out")
    func ranges() {
        let set = VLANSet([20...30, 1...1, 2...4, 25...26, 4094...4094])
        #expect(set == VLANSet([1...4, 20...30, 4094...4094]))
        #expect(set.ranges == [1...4, 20...30, 4094...4094])
        #expect(set.contains(4) && !set.contains(5) && !set.contains(19) && set.contains(30))
        #expect(VLANSet([0...65_535, 7...8]).ranges == [0...65_535])
        #expect(VLANSet().isEmpty && !VLANSet.all.isEmpty)
    }
}
