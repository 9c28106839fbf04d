/// One region of guest memory as the front-end describes it. Addresses and sizes in bytes.
public struct MemoryRegion: Equatable, Sendable {
    /// Where the guest sees it: what descriptors name.
    public var guestAddress: UInt64
    public var byteCount: UInt64
    /// Where the front-end sees it: what ring addresses name.
    public var userAddress: UInt64
    /// Where it begins in the file that backs it.
    public var fileOffset: UInt64

    public init(
        guestAddress: UInt64, byteCount: UInt64, userAddress: UInt64, fileOffset: UInt64
    ) {
        self.guestAddress = guestAddress
        self.byteCount = byteCount
        self.userAddress = userAddress
        self.fileOffset = fileOffset
    }
}
