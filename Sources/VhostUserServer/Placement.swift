import GuestMemory
import Host
import Logging

/// Which memory node a worker runs on.
public enum Placement: Equatable, Sendable {
    /// Where most of the guest's memory is.
    case automatic
    case off
    case node(Int32)

    /// Nil where the text is none of auto, off or a node's number.
    public init?(_ text: String) {
        switch text {
        case "auto": self = .automatic
        case "off": self = .off
        default:
            guard let node = Int32(text), node >= 0 else { return nil }
            self = .node(node)
        }
    }

    /// Says once, at a device's start, where there is nothing to choose.
    func announce(_ logger: Logger) {
        guard self == .automatic, NUMA.nodeCount == 1 else { return }
        logger.info("this machine has one memory node: workers run anywhere")
    }

    /// Settles the calling thread, and what it allocates from now on, for work on this memory.
    ///
    /// - Parameter node: where the thread has settled before; only a change is worth a word.
    func settle(for map: GuestMap, _ node: inout Int32?, _ logger: Logger) {
        switch self {
        case .off: break
        case .node(let wanted):
            guard node != wanted else { return }
            NUMA.settle(on: wanted)
            node = wanted
        case .automatic:
            guard NUMA.nodeCount > 1 else { return }
            guard let found = NUMA.majority(of: map.allMappings) else {
                return logger.info(
                    "the guest's memory is on no node yet; a worker stays where it is")
            }
            guard node != found else { return }
            NUMA.settle(on: found)
            node = found
            logger.info("the guest's memory is on node \(found); the worker runs there")
        }
    }
}
