/// What the table knows of a station, in one word: its port in bits 0 to 7, moves in bits 8 to 15, the
/// second of the first of them in bits 16 to 31, and the second in which it was last heard of.
@frozen
@usableFromInline
struct AddressRecord {
    @usableFromInline var raw: UInt64

    /// Moves that a station may make in `windowSeconds`. A guest that migrates makes one or two; a loop
    /// between two ports, or two guests with one address, make as many as they send frames.
    static let mostMoves: UInt64 = 5
    static let windowSeconds: UInt16 = 10

    @inlinable
    init(raw: UInt64) { self.raw = raw }

    @inlinable
    init(port: Int, _ now: UInt32) {
        raw = UInt64(now) << 32 | UInt64(truncatingIfNeeded: port)
    }

    @inlinable
    var port: Int { Int(truncatingIfNeeded: raw & 0xff) }

    /// Seconds since it was last heard of. Not negative where the clock has gone back.
    @inlinable
    @inline(__always)
    func silence(_ now: UInt32) -> UInt32 {
        UInt32(max(0, Int32(bitPattern: now &- UInt32(truncatingIfNeeded: raw >> 32))))
    }

    @inlinable
    @inline(__always)
    func isOver(_ now: UInt32, age: UInt32) -> Bool { silence(now) >= age }

    /// Whether it was heard of in this second, from this port.
    @inlinable
    @inline(__always)
    func isOf(_ port: Int, _ now: UInt32) -> Bool {
        (raw ^ AddressRecord(port: port, now).raw) & 0xffff_ffff_0000_00ff == 0
    }

    mutating func hear(_ now: UInt32) {
        let moves = isMoving(now) ? raw & 0xffff_ff00 : 0
        raw = AddressRecord(port: port, now).raw | moves
    }

    /// False where it has moved too often, and stays.
    mutating func move(to port: Int, _ now: UInt32) -> Bool {
        guard isMoving(now) else {
            raw = AddressRecord(port: port, now).raw | 1 << 8
            raw |= UInt64(UInt16(truncatingIfNeeded: now)) << 16
            return true
        }
        guard moves < Self.mostMoves else { return false }
        raw = AddressRecord(port: port, now).raw | ((raw & 0xffff_ff00) + (1 << 8))
        return true
    }

    private var moves: UInt64 { raw >> 8 & 0xff }

    /// Whether its first move of a series was a short time ago. 16 bits of the second suffice: it is
    /// asked at least once in every `ageSeconds`, and a series that is over is then taken out.
    private func isMoving(_ now: UInt32) -> Bool {
        let start = UInt16(truncatingIfNeeded: raw >> 16)
        return moves > 0 && UInt16(truncatingIfNeeded: now) &- start < Self.windowSeconds
    }
}
