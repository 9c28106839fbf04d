import EthernetSwitch
import Testing
import VirtioNet
import VirtioSpec

@Suite("A frame's first bytes, and what a changed tag does to the packet's header")
struct FrameKeyTests {
    private let frame = Frame(
        destination: MACAddress(rawValue: 0x0605_0403_0201),
        source: MACAddress(rawValue: 0x1615_1413_1210))

    @Test("Addresses as they lie on the wire")
    func addresses() {
        let key = Frame.key([1, 2, 3, 4, 5, 6, 16, 18, 19, 20, 21, 22, 8, 0, 0x45, 0, 0, 0])
        #expect(
            key
                == FrameKey(
                    destination: MACAddress(rawValue: 0x0605_0403_0201),
                    source: MACAddress(rawValue: 0x1615_1413_1210)))
    }

    @Test(
        "Each kind of tag",
        arguments: [
            ([], .none), ([(0x8100, 0x600a)], .vlan(control: 0x600a, isOverAnother: false)),
            ([(0x8100, 0)], .vlan(control: 0, isOverAnother: false)),
            ([(0x8100, 10), (0x8100, 20)], .vlan(control: 10, isOverAnother: true)),
            ([(0x8100, 10), (0x88a8, 20)], .vlan(control: 10, isOverAnother: true)),
            ([(0x8100, 10), (0x9100, 20)], .vlan(control: 10, isOverAnother: true)),
            ([(0x88a8, 10)], .foreign), ([(0x9100, 10), (0x8100, 10)], .foreign),
        ] as [([(UInt16, UInt16)], FrameTag)])
    func tags(tags: [(UInt16, UInt16)], tag: FrameTag) {
        var frame = frame
        frame.tags = tags.map { Frame.Tag(type: $0.0, control: $0.1) }
        #expect(frame.key?.tag == tag)
    }

    @Test("Every length: a header that is not all there is none, whatever lies behind the frame")
    func lengths() {
        var tagged = frame
        tagged.tags = [Frame.Tag(control: 10)]
        for filler in [0, 0x81, 0xff] as [UInt8] {
            for count in 0..<frame.bytes.count {
                let key = Frame.key(Array(frame.bytes.prefix(count)), filler: filler)
                #expect((key != nil) == (count >= 14), "\(count) bytes")
                #expect(key == nil || key == frame.key)
            }
            for count in 0..<tagged.bytes.count {
                let key = Frame.key(Array(tagged.bytes.prefix(count)), filler: filler)
                #expect((key != nil) == (count >= 18), "\(count) bytes with a tag")
                #expect(key == nil || key == tagged.key)
            }
        }
    }

    private func header(start: UInt16, length: UInt16 = 54) -> NetHeader {
        var header = NetHeader.plain
        header.flags = NetHeaderFlag.needsChecksum
        header.checksumStart = start
        header.checksumOffset = 16
        header.headerLength = length
        header.segmentBytes = 1448
        return header
    }

    @Test("A checksum's place and the headers' length move with the bytes behind the tag")
    func moved() {
        #expect(TagChange.insert(10).moved(header(start: 34)) == header(start: 38, length: 58))
        #expect(TagChange.remove.moved(header(start: 38)) == header(start: 34, length: 50))
        #expect(TagChange.none.moved(header(start: 34)) == header(start: 34))
        #expect(TagChange.replace(10).moved(header(start: 34)) == header(start: 34))
        #expect(TagChange.insert(10).moved(.plain) == .plain)
        #expect(TagChange.remove.moved(.plain) == .plain)
    }

    @Test("A checksum that begins before the packet's contents, or gets too far out, is malformed")
    func unmovable() {
        #expect(TagChange.insert(10).moved(header(start: 13)) == nil)
        #expect(TagChange.insert(10).moved(header(start: 14)) != nil)
        #expect(TagChange.remove.moved(header(start: 17)) == nil)
        #expect(TagChange.remove.moved(header(start: 18)) != nil)
        #expect(TagChange.insert(10).moved(header(start: 65_532)) == nil)
        #expect(TagChange.insert(10).moved(header(start: 65_531)) != nil)
    }

    @Test("A length that says too much stays within its 16 bits")
    func clamped() {
        #expect(
            TagChange.insert(1).moved(header(start: 34, length: 65_534))?.headerLength == 65_535)
        #expect(TagChange.remove.moved(header(start: 34, length: 2))?.headerLength == 0)
    }

    @Test("What a change adds to the frame")
    func growth() {
        let frame = Frame(
            destination: station(1), source: station(2), tags: [Frame.Tag(control: 7)])
        for change in [.none, .remove, .insert(9), .replace(9)] as [TagChange] {
            #expect(change.made(to: frame.bytes).count == frame.bytes.count + change.growth)
        }
    }
}
