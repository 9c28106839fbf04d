import Testing
import VirtioSpec

@testable import VhostUserProtocol

@Suite("Headers and replies are the specification's bytes")
struct HeaderTests {
    @Test("A header is three words: request, flags, size")
    func layout() {
        let header = MessageHeader([0x18, 0, 0, 0, 0x09, 0, 0, 0, 0x0c, 0x01, 0, 0])
        #expect(header == MessageHeader(request: 24, flags: 9, size: 268))
        #expect(header.wantsReply)
        #expect(!MessageHeader(request: 24, flags: 1, size: 268).wantsReply)
        #expect(throws: Never.self) { try header.check() }
    }

    @Test("Only version 1 is spoken", arguments: [0, 2, 3, 0xffff_fff8] as [UInt32])
    func version(flags: UInt32) {
        let header = MessageHeader(request: 1, flags: flags, size: 0)
        #expect(throws: ProtocolViolation.wrongVersion(flags & 3)) { try header.check() }
    }

    @Test("A reply that nobody asked for is refused", arguments: [5, 0xd] as [UInt32])
    func reply(flags: UInt32) {
        let header = MessageHeader(request: 17, flags: flags, size: 0)
        #expect(throws: ProtocolViolation.replyUnasked(17)) { try header.check() }
    }

    @Test(
        "A payload of more than 4096 bytes is not even read",
        arguments: [
            4097, 0x8000_0000, .max,
        ] as [UInt32])
    func longPayload(size: UInt32) {
        let header = MessageHeader(request: 5, flags: 1, size: size)
        #expect(throws: ProtocolViolation.payloadTooLong(5, size)) { try header.check() }
    }

    @Test("A payload of 4096 bytes may be read")
    func longestPayload() {
        #expect(throws: Never.self) {
            try MessageHeader(request: 5, flags: 1, size: 4096).check()
        }
    }

    @Test("A number goes out as a u64, marked as a reply of version 1 that wants none")
    func number() {
        let bytes = Reply.number(0x0123_4567_89ab_cdef).encode(for: 36)
        #expect(
            bytes == [36, 0, 0, 0, 5, 0, 0, 0, 8, 0, 0, 0]
                + [0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01])
    }

    @Test("A ring's base goes out behind its index")
    func vringState() {
        let bytes = Reply.vringState(index: 3, value: 0x1234_abcd).encode(for: 11)
        #expect(
            bytes == [11, 0, 0, 0, 5, 0, 0, 0, 8, 0, 0, 0]
                + [3, 0, 0, 0, 0xcd, 0xab, 0x34, 0x12])
    }

    @Test("Configuration goes out as offset, size, flags and bytes")
    func config() {
        let access = ConfigAccess(offset: 32, flags: 1, bytes: [0, 0, 0])
        let bytes = Reply.config(access.answered([7, 8, 9])).encode(for: 24)
        #expect(
            bytes == [24, 0, 0, 0, 5, 0, 0, 0, 15, 0, 0, 0]
                + [0x20, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 7, 8, 9])
    }

    @Test("Configuration that can't be had goes out without a payload")
    func noConfig() {
        #expect(Reply.config(nil).encode(for: 24) == [24, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0])
    }
}
