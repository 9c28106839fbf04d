import CLibNUMA
import CLinux

/// The machine's memory nodes, through libnuma.
public enum NUMA {
    /// Nodes that this process may use; 1 where the machine has no such thing.
    public static var nodeCount: Int {
        guard numa_available() >= 0 else { return 1 }
        return Int(numa_num_configured_nodes())
    }

    /// Whether `node` exists and has processors to run on.
    public static func exists(_ node: Int32) -> Bool {
        guard numa_available() >= 0 else { return node == 0 }
        return node >= 0 && node <= numa_max_node()
    }

    /// Moves the calling thread to `node`, and its future memory too.
    public static func settle(on node: Int32) {
        guard numa_available() >= 0 else { return }
        _ = numa_run_on_node(node)
        numa_set_preferred(node)
    }

    /// The node that holds most of these mappings' pages, by a sample of each; nil where no page is
    /// in memory yet. Whoever else shares a mapping may have touched them; we need not have.
    public static func majority(of mappings: [Mapping]) -> Int32? {
        // A machine that has just been started has touched little of its memory: then look closer.
        majority(of: mappings, samples: 64) ?? majority(of: mappings, samples: 4096)
    }

    private static func majority(of mappings: [Mapping], samples: Int) -> Int32? {
        var counts: [Int32: Int] = [:]
        for mapping in mappings {
            let step = max(4096, mapping.count / samples / 4096 * 4096)
            for offset in stride(from: 0, to: mapping.count, by: step) {
                guard isResident(mapping, offset) else { continue }
                // The kernel tells of pages that this process has touched and of no others. An
                // atomic load, which no compiler leaves out for being of no use.
                _ = mapping.load16(at: offset, acquiring: true)
                var page: UnsafeMutableRawPointer? = unsafe mapping.base + offset
                var node: Int32 = -1
                // Moves nothing: without target nodes the call only tells.
                let result = unsafe numa_move_pages(0, 1, &page, nil, &node, 0)
                // Regions count by their size, which the step reflects.
                if result == 0, node >= 0 { counts[node, default: 0] += step }
            }
        }
        return counts.max { $0.value < $1.value }?.key
    }

    /// Whether a page is in memory, by whomever it was put there. Touching one that is not would put
    /// it on our own node.
    private static func isResident(_ mapping: Mapping, _ offset: Int) -> Bool {
        var state: UInt8 = 0
        return unsafe mincore(mapping.base + offset, 1, &state) == 0 && state & 1 != 0
    }
}
