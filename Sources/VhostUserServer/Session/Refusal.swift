import GuestMemory
import Host
import VirtioSpec

/// A message of the right shape that asks for something wrong. It is answered with a negative
/// acknowledgement where the front-end wants one; else its session is closed.
enum Refusal: Error, Equatable {
    case noSuchRing(UInt32)
    case ringSize(UInt32, largest: UInt32)
    case ringRuns(Int)
    case base(UInt32)
    case enableValue(UInt32)
    case ringNotDescribed(Int)
    case misplaced(Int, RingPlacementFault)
    case memory(MemoryFault)
    case regionsWithoutFiles(regions: Int, files: Int)
    case features(Features)
    case featuresWhileRunning
    case protocolFeatures(ProtocolFeatures)
    case descriptorMissing
    case descriptorUnexpected
    case descriptorKind
    case configuration(offset: UInt32, count: Int)
    case announcement
    case mtu(UInt64)
    case inflight(InflightFault)
    case inflightSize(queues: UInt16, entries: UInt16)
    case worker(SystemError)
    /// The process is ending; nothing was decided.
    case interrupted
}

extension Refusal: CustomStringConvertible {
    var description: String {
        switch self {
        case .noSuchRing(let index): "there is no ring \(index)"
        case .ringSize(let size, let largest):
            "a ring of \(size) entries: not a power of two up to \(largest)"
                + " (see --queue-size-max)"
        case .ringRuns(let index): "ring \(index) is running"
        case .base(let base): "a ring's base of \(base)"
        case .enableValue(let value): "a ring can't be enabled with \(value), only with 0 or 1"
        case .ringNotDescribed(let index): "ring \(index) is started without size and addresses"
        case .misplaced(let index, .misaligned(let part)):
            "ring \(index): the \(part) is not aligned"
        case .misplaced(let index, .outsideMemory(let part)):
            "ring \(index): the \(part) is outside the memory that was shared; if the guest has"
                + " that memory, \(Hint.memoryNotShared)"
        case .memory(let fault): fault.text
        case .regionsWithoutFiles(let regions, let files):
            "\(regions) memory regions with \(files) descriptors; \(Hint.memoryNotShared)"
        case .features(let features):
            "features that were not offered: 0x\(String(features.rawValue, radix: 16))"
        case .featuresWhileRunning: "features changed while a ring is running"
        case .protocolFeatures(let features):
            "protocol features that were not offered: 0x\(String(features.rawValue, radix: 16))"
        case .descriptorMissing: "a descriptor is announced and none came"
        case .descriptorKind: "a descriptor that carries no events, no eventfd, pipe or socket"
        case .descriptorUnexpected: "a descriptor came though none is announced"
        case .configuration(let offset, let count):
            "no writable configuration field of \(count) bytes at offset \(offset)"
        case .announcement: "an address to announce, of a device that has no network"
        case .mtu(let mtu): "an MTU of \(mtu), of a device that can't have it (see --mtu)"
        case .inflight(let fault): "the buffer of requests in flight: \(fault.text)"
        case .inflightSize(let queues, let entries):
            "a buffer for the requests in flight of \(queues) queues with \(entries) entries"
        case .worker(let error): "a worker could not start: \(error)"
        case .interrupted: "this process is ending"
        }
    }
}

extension MemoryFault {
    var text: String {
        switch self {
        case .empty: "a memory region of size 0"
        case .wraps: "a memory region that passes the end of the address space"
        case .overlaps(let other):
            "a memory region that overlaps the one at guest address"
                + " 0x\(String(other.guestAddress, radix: 16))"
        case .tooMany: "more than \(VhostUserLayout.memorySlots) memory regions"
        case .beyondFile(let bytes): "a memory region that ends after its file of \(bytes) bytes"
        case .notMemory: "a memory region from a descriptor that is no memory"
        case .noSuchRegion: "a memory region to remove that is not there"
        case .system(let error): "a memory region can't be mapped: \(error)"
        }
    }
}
