import Synchronization
import VirtioSpec

/// Which packets the driver wants to see (virtio 1.3 §5.1.6.5.1 to §5.1.6.5.3). One thread at a time
/// changes it, any may ask; a packet that crosses a change is judged by the old state or by the new.
@usableFromInline
final class ReceiveFilter: Sendable {
    /// Addresses that are kept of each kind. A driver that wants more gets every packet of the kind,
    /// and looks for itself.
    static let addressCapacity = 64
    static let vlanCount = 4096

    /// What the driver has said of kinds of packets: bit n for the command n of the class RX, and
    /// what was negotiated beside.
    private struct Mode: OptionSet {
        let rawValue: UInt32
        static let promiscuous = command(NetReceiveModeCommand.promiscuous)
        static let allMulticast = command(NetReceiveModeCommand.allMulticast)
        static let allUnicast = command(NetReceiveModeCommand.allUnicast)
        static let noMulticast = command(NetReceiveModeCommand.noMulticast)
        static let noUnicast = command(NetReceiveModeCommand.noUnicast)
        static let noBroadcast = command(NetReceiveModeCommand.noBroadcast)
        /// The driver can say what it wants.
        static let filters = Mode(rawValue: 1 << 16)
        /// The driver can say which VLANs it wants.
        static let filtersVLANs = Mode(rawValue: 1 << 17)

        static func command(_ number: UInt8) -> Mode { Mode(rawValue: 1 << UInt32(number)) }
    }

    private let mode = Atomic<UInt32>(Mode.promiscuous.rawValue)
    /// The device's own address.
    private let own: Atomic<UInt64>
    private let unicast = AddressTable(capacity: ReceiveFilter.addressCapacity)
    private let multicast = AddressTable(capacity: ReceiveFilter.addressCapacity)
    /// A bit for each VLAN.
    private let vlans = AtomicWords(count: ReceiveFilter.vlanCount / 64)
    /// Every packet is wanted: what `mode` comes to, in a form that costs least to ask.
    @usableFromInline let isOpen = Atomic<Bool>(true)

    init(own address: MACAddress) { own = Atomic(address.rawValue) }

    var address: MACAddress {
        get { MACAddress(rawValue: own.load(ordering: .relaxed)) }
        set { own.store(newValue.rawValue, ordering: .relaxed) }
    }

    /// - Parameter vlan: the packet's VLAN, or nil where it has no tag.
    func wants(_ destination: MACAddress, vlan: UInt16?) -> Bool {
        let mode = Mode(rawValue: mode.load(ordering: .relaxed))
        if !mode.contains(.filters) || mode.contains(.promiscuous) { return true }
        // A tag with VLAN 0 says only a priority (802.1Q §6.9).
        if let vlan, vlan != 0, mode.contains(.filtersVLANs), !isMember(vlan) { return false }
        if destination.isBroadcast { return !mode.contains(.noBroadcast) }
        if destination.isMulticast {
            if mode.contains(.noMulticast) { return false }
            return mode.contains(.allMulticast) || multicast.contains(destination)
        }
        if mode.contains(.noUnicast) { return false }
        return mode.contains(.allUnicast) || destination == address
            || unicast.contains(destination)
    }

    private func isMember(_ vlan: UInt16) -> Bool {
        guard vlan < Self.vlanCount else { return false }
        return vlans[Int(vlan / 64)] >> UInt64(vlan % 64) & 1 != 0
    }

    // What the driver says. Nothing is judged here.

    /// Turns what the command `number` of the class RX, 0 to 5, is about on or off.
    func set(_ number: UInt8, _ isOn: Bool) { change(Mode.command(number), isOn) }

    /// What the driver has accepted.
    func negotiate(filters: Bool, filtersVLANs: Bool) {
        change(.filters, filters)
        change(.filtersVLANs, filtersVLANs)
    }

    func setTables(unicast: [MACAddress], multicast: [MACAddress]) {
        self.unicast.replace(unicast)
        self.multicast.replace(multicast)
    }

    /// - Parameter vlan: less than `vlanCount`.
    func setMember(_ vlan: UInt16, _ isMember: Bool) {
        let bit: UInt64 = 1 << UInt64(vlan % 64)
        let before = vlans[Int(vlan / 64)]
        vlans[Int(vlan / 64)] = isMember ? before | bit : before & ~bit
    }

    /// As before any driver, but for what was negotiated.
    func reset(own address: MACAddress) {
        for number in 0...NetReceiveModeCommand.noBroadcast { set(number, false) }
        change(.promiscuous, true)
        self.address = address
        setTables(unicast: [], multicast: [])
        for index in 0..<vlans.count { vlans[index] = 0 }
    }

    private func change(_ part: Mode, _ isOn: Bool) {
        var mode = Mode(rawValue: mode.load(ordering: .relaxed))
        if isOn { mode.insert(part) } else { mode.remove(part) }
        self.mode.store(mode.rawValue, ordering: .relaxed)
        isOpen.store(
            !mode.contains(.filters) || mode.contains(.promiscuous), ordering: .relaxed)
    }
}

/// Words that one thread changes and others read.
final class AtomicWords: Sendable {
    private final class Word: Sendable { let value = Atomic<UInt64>(0) }

    private let words: [Word]
    var count: Int { words.count }

    init(count: Int) { words = (0..<count).map { _ in Word() } }

    subscript(index: Int) -> UInt64 {
        get { words[index].value.load(ordering: .relaxed) }
        set { words[index].value.store(newValue, ordering: .relaxed) }
    }
}

/// A table of addresses that is replaced whole.
final class AddressTable: Sendable {
    private let addresses: AtomicWords
    private let count = Atomic<Int>(0)
    /// Odd while the table is being replaced.
    private let version = Atomic<UInt64>(0)

    init(capacity: Int) { addresses = AtomicWords(count: capacity) }

    /// Whether `address` is in the table, or the table had no room for all, or was being replaced
    /// just now: an address that was and will be in it is never missed.
    func contains(_ address: MACAddress) -> Bool {
        let before = version.load(ordering: .acquiring)
        guard before & 1 == 0 else { return true }
        let count = count.load(ordering: .relaxed)
        guard count <= addresses.count else { return true }
        for index in 0..<count where addresses[index] == address.rawValue { return true }
        // Pairs with the fence in `replace`: if any of the above was new, so is the version.
        atomicMemoryFence(ordering: .acquiring)
        return version.load(ordering: .relaxed) != before
    }

    func replace(_ new: [MACAddress]) {
        let before = version.load(ordering: .relaxed)
        version.store(before &+ 1, ordering: .relaxed)
        atomicMemoryFence(ordering: .releasing)
        for (index, address) in new.prefix(addresses.count).enumerated() {
            addresses[index] = address.rawValue
        }
        count.store(new.count, ordering: .relaxed)
        version.store(before &+ 2, ordering: .releasing)
    }
}
