import CLinux

// For packets that are put together in private memory.
extension Mapping {
    /// The one's complement sum of the 16-bit big-endian words that `count` bytes from `offset` on
    /// make, an odd last byte filled up with zeroes (RFC 1071). 0 where all bytes are zero, else 1
    /// to 0xffff.
    public func internetSum(at offset: Int, count length: Int) -> UInt16 {
        check(offset, length)
        let start = unsafe UnsafeRawPointer(base) + offset
        // Words may be summed in whatever order of bytes, if the sum is swapped at the end. Four
        // bytes at a time: their halves come together where the sum is folded.
        var sum: UInt64 = 0
        for index in 0..<(length / 4) {
            let word = unsafe start.loadUnaligned(fromByteOffset: index &* 4, as: UInt32.self)
            sum &+= UInt64(UInt32(littleEndian: word))
        }
        var done = length & ~3
        if length & 2 != 0 {
            let word = unsafe start.loadUnaligned(fromByteOffset: done, as: UInt16.self)
            sum &+= UInt64(UInt16(littleEndian: word))
            done &+= 2
        }
        if length & 1 != 0 {
            sum &+= UInt64(unsafe start.load(fromByteOffset: done, as: UInt8.self))
        }
        while sum >> 16 != 0 { sum = (sum & 0xffff) &+ (sum >> 16) }
        return UInt16(truncatingIfNeeded: sum).byteSwapped
    }
}
