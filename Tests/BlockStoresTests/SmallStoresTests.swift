import BlockStores
import Host
import Testing

@Suite("Stores without a file, and the names of all of them")
struct SmallStoresTests {
    @Test("Memory keeps what is written, and forgets exactly what is discarded")
    func memory() throws {
        let bench = try LaneBench<MemoryStore.Lane>(MemoryStore(byteCount: 1 << 20))
        var model = noise(1 << 20, seed: 21)
        bench.put(model, [0..<1 << 20])
        #expect(bench.run(StoreRequest(.write, count: 1 << 20), [0..<1 << 20]) == .ok)
        let ranges = [(0, 512), (4096, 4096), (5000 / 512 * 512, 20_480), (100 << 10, 1024)]
        for (offset, count) in ranges {
            let request = StoreRequest(.discard, offset: UInt64(offset), count: UInt64(count))
            #expect(bench.run(request) == .ok)
            model.replaceSubrange(offset..<offset + count, with: repeatElement(0, count: count))
        }
        #expect(bench.run(StoreRequest(.read, count: 1 << 20), [2 << 20..<3 << 20]) == .ok)
        #expect(bench.get([2 << 20..<3 << 20]) == model)
    }

    @Test("Null takes everything and reads as zero")
    func null() throws {
        let bench = try LaneBench<NullStore.Lane>(NullStore(byteCount: 1 << 20))
        bench.put(noise(4096, seed: 1), [0..<4096])
        #expect(bench.run(StoreRequest(.write, count: 4096), [0..<4096]) == .ok)
        #expect(bench.run(StoreRequest(.read, count: 4096), [0..<4096]) == .ok)
        #expect(bench.get([0..<4096]) == [UInt8](repeating: 0, count: 4096))
    }

    @Test(
        "A store is named by its kind and its path or size",
        arguments: [
            ("raw:/tmp/x:y", StoreURI.raw("/tmp/x:y")), ("memory:512M", .memory(536_870_912)),
            ("null:1t", .null(1_099_511_627_776)), ("memory:4096", .memory(4096)),
        ])
    func names(text: String, uri: StoreURI) { #expect(StoreURI(text) == uri) }

    @Test(
        "What is no size is none", arguments: ["", "K", "1KB", "-1", "1.5G", "0", "99999999T", "٣"])
    func wrongSizes(text: String) { #expect(ByteSize(text) == nil) }

    @Test(
        "Sizes are printed as people say them",
        arguments: [
            (512, "512 bytes"), (1536, "1.5 KiB"), (1 << 30, "1 GiB"), (4 << 40, "4 TiB"),
            (1 << 20, "1 MiB"), (1023, "1023 bytes"),
        ] as [(UInt64, String)])
    func printed(bytes: UInt64, text: String) { #expect("\(ByteSize(bytes: bytes))" == text) }
}
