import Host

/// Which station is behind which port, for each VLAN: learnt from what they send, forgotten with age
/// or with the port. A fixed number of places, all made at the start.
///
/// A station's place is one of four in a bucket that a keyed hash names, so a look-up reads one bucket
/// whatever was learnt, and nobody outside can aim at a bucket. In a full bucket a newcomer takes the
/// place of a station of the port with the most stations, the one unheard of for longest, and only
/// where that port has more of them than the newcomer's own; else it takes one of its own port's; else
/// it is not learnt. So a port that floods the table with addresses takes none from a port that has no
/// more of them than it has by then: a port with few keeps all, and the largest keeps half.
@frozen
public struct AddressTable: ~Copyable {
    @usableFromInline
    @frozen
    struct Bucket {
        /// Address and VLAN, and bit 63; 0 where the place is free.
        @usableFromInline var keys = InlineArray<4, UInt64>(repeating: 0)
        /// See `AddressRecord`.
        @usableFromInline var records = InlineArray<4, UInt64>(repeating: 0)
        @usableFromInline
        init() {}
    }

    @usableFromInline var buckets: Table<Bucket>
    @usableFromInline var books: Table<AddressBook>
    @usableFromInline let mask: UInt64
    @usableFromInline let secret: (UInt64, UInt64)
    /// Seconds after which a station that was not heard of is forgotten.
    public let ageSeconds: UInt32
    /// The next bucket to be looked through for such stations.
    private var nextSwept = 0

    @inlinable static var ways: Int { 4 }

    /// - Parameters:
    ///   - capacity: stations at most; rounded up to four times a power of two.
    ///   - ageSeconds: 1 to 32768.
    ///   - secret: what keys the hash. Random where nobody names it.
    public init(capacity: Int, ageSeconds: UInt32, secret: (UInt64, UInt64)? = nil) {
        precondition((1...1 << 24).contains(capacity) && (1...32_768).contains(ageSeconds))
        var count = 1
        while count * Self.ways < capacity { count *= 2 }
        buckets = Table(count: count) { _ in Bucket() }
        books = Table(count: PortSet.capacity) { _ in AddressBook() }
        mask = UInt64(count - 1)
        self.secret =
            secret ?? (UInt64.random(in: 0...UInt64.max), UInt64.random(in: 0...UInt64.max))
        self.ageSeconds = ageSeconds
    }

    public var capacity: Int { buckets.count * Self.ways }

    /// What is known of a port's stations.
    public func book(_ port: Int) -> AddressBook { books[port] }

    @inlinable
    @inline(__always)
    static func key(_ address: UInt64, vlan: Int) -> UInt64 {
        1 << 63 | UInt64(truncatingIfNeeded: vlan) << 48 | address
    }

    /// Two multiplications by what nobody outside knows, each folded: a flipped bit of the key flips
    /// every bit of the place with one chance in two.
    @inlinable
    @inline(__always)
    func bucket(of key: UInt64) -> Int {
        let first = (key ^ secret.0).multipliedFullWidth(by: secret.1 | 1)
        let second = (first.high ^ first.low ^ secret.1)
            .multipliedFullWidth(by: 0xd6e8_feb8_6659_fd93)
        return Int(truncatingIfNeeded: (second.high ^ second.low) & mask)
    }

    /// The port of a station; nil where it is not known, or was not heard of for too long.
    @inlinable
    @inline(__always)
    func find(_ key: UInt64, now: UInt32) -> Int? {
        let place = bucket(of: key)
        for way in 0..<Self.ways where buckets[place].keys[way] == key {
            let record = AddressRecord(raw: buckets[place].records[way])
            return record.isOver(now, age: ageSeconds) ? nil : record.port
        }
        return nil
    }

    /// Notes that a station sent something into `port`.
    @inlinable
    @inline(__always)
    mutating func learn(_ key: UInt64, port: Int, now: UInt32) {
        let place = bucket(of: key)
        for way in 0..<Self.ways where buckets[place].keys[way] == key {
            // Once a second for each station there is something to write.
            if !AddressRecord(raw: buckets[place].records[way]).isOf(port, now) {
                renew(place, way, port, now)
            }
            return
        }
        add(key, place, port, now)
    }

    @usableFromInline
    @inline(never)
    mutating func renew(_ place: Int, _ way: Int, _ port: Int, _ now: UInt32) {
        var record = AddressRecord(raw: buckets[place].records[way])
        let old = record.port
        if record.isOver(now, age: ageSeconds) {
            // As one that was forgotten, so this is no move.
            record = AddressRecord(port: port, now)
        } else if old == port {
            record.hear(now)
        } else if record.move(to: port, now) {
            books[port].moves &+= 1
        } else {
            books[port].refuseMove(of: buckets[place].keys[way], heldBy: old)
            return
        }
        buckets[place].records[way] = record.raw
        books[old].stations -= 1
        books[port].stations += 1
    }

    @usableFromInline
    @inline(never)
    mutating func add(_ key: UInt64, _ place: Int, _ port: Int, _ now: UInt32) {
        guard let way = freeWay(place, now) ?? way(place, takenBy: port, now) else {
            books[port].leaveUnlearnt()
            return
        }
        if buckets[place].keys[way] != 0 { forget(place, way) }
        buckets[place].keys[way] = key
        buckets[place].records[way] = AddressRecord(port: port, now).raw
        books[port].stations += 1
    }

    private func freeWay(_ place: Int, _ now: UInt32) -> Int? {
        (0..<Self.ways).first { way in
            buckets[place].keys[way] == 0
                || AddressRecord(raw: buckets[place].records[way]).isOver(now, age: ageSeconds)
        }
    }

    /// Which of a full bucket's stations gives its place to a new one of `port`; nil where none does.
    private mutating func way(_ place: Int, takenBy port: Int, _ now: UInt32) -> Int? {
        var largest = 0
        var own: Int?
        for way in 0..<Self.ways {
            let (one, other) = (record(place, way), record(place, largest))
            let (many, most) = (books[one.port].stations, books[other.port].stations)
            if many > most || many == most && one.silence(now) > other.silence(now) {
                largest = way
            }
            guard one.port == port else { continue }
            if own.map({ one.silence(now) > record(place, $0).silence(now) }) ?? true { own = way }
        }
        let loser = record(place, largest).port
        let chosen = books[loser].stations > books[port].stations ? largest : own
        if let chosen { books[record(place, chosen).port].displace() }
        return chosen
    }

    private func record(_ place: Int, _ way: Int) -> AddressRecord {
        AddressRecord(raw: buckets[place].records[way])
    }

    private mutating func forget(_ place: Int, _ way: Int) {
        books[record(place, way).port].stations -= 1
        buckets[place].keys[way] = 0
    }

    /// Forgets every station behind `port`, and what was said of it. Looks through the whole table.
    mutating func forget(port: Int) {
        for place in 0..<buckets.count where books[port].stations > 0 {
            for way in 0..<Self.ways where buckets[place].keys[way] != 0 {
                if record(place, way).port == port { forget(place, way) }
            }
        }
        books[port].startAnew()
    }

    /// Forgets stations not heard of for too long, in the next part of the table. Called once a second
    /// it comes round once in `ageSeconds`: a port's count of stations is right but for those.
    mutating func sweep(_ now: UInt32) {
        let part = (buckets.count + Int(ageSeconds) - 1) / Int(ageSeconds)
        for _ in 0..<part {
            for way in 0..<Self.ways where buckets[nextSwept].keys[way] != 0 {
                if record(nextSwept, way).isOver(now, age: ageSeconds) { forget(nextSwept, way) }
            }
            nextSwept = nextSwept + 1 < buckets.count ? nextSwept + 1 : 0
        }
    }

    /// What there is to say of `port` for the first time since `forget(port:)`.
    mutating func takeNotice(_ port: Int) -> SwitchNotice? { books[port].takeNotice(port) }
}
