import EthernetSwitch
import VirtioNet

/// A switch in the words of its documentation, with whole frames, sets and dictionaries, and without
/// a bound: what the tables are held against.
struct SwitchModel {
    /// What a port may carry.
    enum Kind: Equatable {
        case access(Int)
        case trunk(Set<Int>, native: Int?)
        case transparent
    }

    private struct Name: Hashable {
        let vlan: Int
        let address: MACAddress
    }

    private struct Home {
        var port: Int
        var heard: Int
        /// When it moved, since a move that no other had come before for ten seconds.
        var moves: [Int] = []
    }

    let kinds: [Kind]
    let age: Int
    private var attached: Set<Int> = []
    private var homes: [Name: Home] = [:]

    init(_ kinds: [Kind], age: Int) {
        self.kinds = kinds
        self.age = age
    }

    mutating func attach(_ port: Int) { attached.insert(port) }

    mutating func detach(_ port: Int) {
        attached.remove(port)
        homes = homes.filter { $0.value.port != port }
    }

    enum Outcome: Equatable {
        case dropped(DropReason)
        case delivered([Int: [UInt8]])
    }

    mutating func forward(_ frame: Frame, from port: Int, now: Int) -> Outcome {
        guard attached.contains(port) else { return .dropped(.noReceiver) }
        let first = UInt8(truncatingIfNeeded: frame.source.rawValue)
        guard first % 2 == 0, frame.source != MACAddress(rawValue: 0) else {
            return .dropped(.badSource)
        }
        let vlan: Int
        switch classify(frame, kinds[port]) {
        case .failure(let refusal): return .dropped(refusal.reason)
        case .success(let number): vlan = number
        }
        let text = frame.destination.description
        guard !(text.hasPrefix("01:80:c2:00:00:0")) else { return .dropped(.linkLocal) }
        learn(Name(vlan: vlan, address: frame.source), port, now)
        return deliver(frame, vlan, from: port, now)
    }

    private struct Refusal: Error { let reason: DropReason }

    private func classify(_ frame: Frame, _ kind: Kind) -> Result<Int, Refusal> {
        let tag = frame.tags.first
        if let tag, tag.type == 0x8100, tag.control % 4096 != 0 {
            let number = Int(tag.control % 4096)
            switch kind {
            case .access: return .failure(Refusal(reason: .vlan))
            case .transparent where number < 4095: return .success(number)
            case .trunk(let set, let native) where set.contains(number) || native == number:
                return .success(number)
            default: return .failure(Refusal(reason: .vlan))
            }
        }
        let isForeign = tag.map { $0.type != 0x8100 } ?? false
        switch kind {
        case .transparent: return .success(0)
        case _ where isForeign: return .failure(Refusal(reason: .vlan))
        case .access(let number): return .success(number)
        case .trunk(_, .some(let native)): return .success(native)
        case .trunk(_, nil): return .failure(Refusal(reason: .untagged))
        }
    }

    private mutating func learn(_ name: Name, _ port: Int, _ now: Int) {
        guard var home = homes[name], now - home.heard < age else {
            homes[name] = Home(port: port, heard: now)
            return
        }
        if home.port != port {
            if let start = home.moves.first, now - start >= 10 { home.moves = [] }
            guard home.moves.count < 5 else { return }
            home.moves.append(now)
        }
        home.port = port
        home.heard = now
        homes[name] = home
    }

    private func deliver(_ frame: Frame, _ vlan: Int, from port: Int, _ now: Int) -> Outcome {
        let isForOne = UInt8(truncatingIfNeeded: frame.destination.rawValue) % 2 == 0
        let home = homes[Name(vlan: vlan, address: frame.destination)]
        var receivers = Set(kinds.indices.filter { carries(kinds[$0], vlan) })
            .intersection(attached)
        if isForOne, let home, now - home.heard < age {
            guard home.port != port else { return .dropped(.ownPort) }
            receivers = [home.port]
        }
        receivers.remove(port)
        guard !receivers.isEmpty else { return .dropped(.noReceiver) }
        var all: [Int: [UInt8]] = [:]
        for receiver in receivers {
            if let out = leaving(frame, vlan, kinds[receiver]) { all[receiver] = out.bytes }
        }
        return all.isEmpty ? .dropped(.doubleTag) : .delivered(all)
    }

    private func carries(_ kind: Kind, _ vlan: Int) -> Bool {
        switch kind {
        case .access(let number): number == vlan
        case .trunk(let set, let native): set.contains(vlan) || native == vlan
        case .transparent: true
        }
    }

    /// The frame as it leaves by a port; nil where it would show what lies under its tag.
    private func leaving(_ frame: Frame, _ vlan: Int, _ kind: Kind) -> Frame? {
        guard vlan != 0 else { return frame }
        var out = frame
        let isBare: Bool
        switch kind {
        case .access: isBare = true
        case .trunk(_, let native): isBare = native == vlan
        case .transparent: isBare = false
        }
        let hasTag = frame.tags.first?.type == 0x8100
        if isBare {
            guard hasTag else { return frame }
            guard frame.tags.count == 1 else { return nil }
            out.tags = []
        } else if hasTag {
            let priority = frame.tags[0].control & 0xf000
            out.tags[0].control = priority | UInt16(vlan)
        } else {
            out.tags.insert(Frame.Tag(control: UInt16(vlan)), at: 0)
        }
        return out
    }
}

extension SwitchModel.Kind {
    /// The same for the tables.
    var vlans: PortVLANs {
        switch self {
        case .access(let number): .access(UInt16(number))
        case .trunk(let set, let native):
            .trunk(
                VLANSet(set.map { UInt16($0)...UInt16($0) }), native: native.map { UInt16($0) })
        case .transparent: .transparent
        }
    }
}
