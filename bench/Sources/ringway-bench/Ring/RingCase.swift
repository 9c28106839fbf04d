import CRing

/// One thing to measure: a ring's form, the shape of its chains, and how many are there at once.
struct RingCase: Equatable {
    enum Form: String, CaseIterable { case split, packed }

    enum Shape: String, CaseIterable {
        /// A buffer of 4 KiB to write.
        case one
        /// 16 bytes to read, 4 KiB and a byte to write: a read request of a disk.
        case block
        /// The same through a table.
        case indirect
    }

    var form: Form
    var shape: Shape
    var batch: Int

    static let batches = [1, 32, 256]

    static let all = Form.allCases.flatMap { form in
        Shape.allCases.flatMap { shape in
            batches.map { RingCase(form: form, shape: shape, batch: $0) }
        }
    }

    var name: String { "\(form.rawValue) \(shape.rawValue) \(batch)" }
}

extension RingCase.Shape {
    var c: ring_shape {
        switch self {
        case .one: ring_shape_one
        case .block: ring_shape_block
        case .indirect: ring_shape_indirect
        }
    }
}
