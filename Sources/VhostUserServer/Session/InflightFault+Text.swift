import GuestMemory

extension InflightFault {
    /// What is wrong, after "the buffer of requests in flight: ".
    var text: String {
        switch self {
        case .size(let bytes): "\(bytes) bytes from its offset on pass the end of any file"
        case .offset(let offset): "an offset of \(offset), which is no multiple of 64"
        case .tooSmall(let bytes, let queues, let entries):
            "\(bytes) bytes do not hold \(queues) queues with \(entries) entries"
        case .beyondFile(let bytes): "it ends after its file of \(bytes) bytes"
        case .notMemory: "its descriptor is no memory"
        case .lost: "its file was shortened"
        case .system(let error): "it can't be mapped: \(error)"
        case .noRegion(let queues): "it is for \(queues) queues only"
        case .ringSize(let size, let entries):
            "a ring of \(size) entries, and it was made for \(entries)"
        case .version(let version): "its version is \(version), not 1"
        case .features(let features):
            "its features are 0x\(String(features, radix: 16)), and none is known"
        case .descriptorCount(let count, let entries):
            "it says that it has \(count) entries, and was made for \(entries)"
        case .batch(let count): "the used index went on by \(count) since it was written"
        case .list: "a list in it goes in a circle or out of it"
        case .count: "it has more descriptors in flight than there are"
        case .position(let index): "it names place \(index), which the ring does not have"
        }
    }
}
