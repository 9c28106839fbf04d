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

    /// Settles the calling thread, and what it allocates from now on, for work on this memory.
    func settle(for map: GuestMap, _ logger: Logger) {
        switch self {
        case .off: break
        case .node(let node): NUMA.settle(on: node)
        case .automatic:
            guard NUMA.nodeCount > 1 else { return }
            guard let node = NUMA.majority(of: map.allMappings) else {
                return logger.info(
                    "the guest's memory is on no node yet; a worker stays where it is")
            }
            NUMA.settle(on: node)
            logger.info("the guest's memory is on node \(node); the worker runs there")
        }
    }
}
