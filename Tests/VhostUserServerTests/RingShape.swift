import VhostUserFrontend
import VirtioSpec

/// A way to make a driver's rings.
struct RingShape: Sendable, CustomStringConvertible {
    var packed = false
    var eventIndex = true
    var indirect = false
    var inOrder = false

    /// Every way there is.
    static let all: [RingShape] = (0..<16).map { bits in
        RingShape(
            packed: bits & 1 != 0, eventIndex: bits & 2 != 0, indirect: bits & 4 != 0,
            inOrder: bits & 8 != 0)
    }
    static let outOfOrder = all.filter { !$0.inOrder }

    func apply(to options: inout BlockDriver.Options) {
        options.packed = packed
        options.indirect = indirect
        options.inOrder = inOrder
        if !eventIndex { options.features.remove(.eventIndex) }
    }

    var description: String {
        (packed ? "packed" : "split") + (eventIndex ? ", event indices" : "")
            + (indirect ? ", indirect" : "") + (inOrder ? ", in order" : "")
    }
}
