import Foundation

/// An SVG picture, dark on white. Lengths are pixels; y grows downward.
struct Drawing {
    enum Anchor: String { case start, middle, end }

    /// Okabe and Ito's colours, which the colour-blind tell apart, in the order of use.
    private static let colors = [
        "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
    ]

    static func color(_ index: Int) -> String { colors[index % colors.count] }

    static let ink = "#222222"
    static let pale = "#cccccc"

    let width: Double
    let height: Double
    private var elements: [String] = []

    init(width: Double, height: Double) {
        self.width = width
        self.height = height
    }

    mutating func rectangle(
        x: Double, y: Double, width: Double, height: Double, color: String
    ) {
        elements.append(
            "<rect x=\"\(n(x))\" y=\"\(n(y))\" width=\"\(n(width))\" height=\"\(n(height))\""
                + " fill=\"\(color)\"/>")
    }

    mutating func line(
        _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, color: String = ink,
        thickness: Double = 1, dashes: String? = nil
    ) {
        let dash = dashes.map { " stroke-dasharray=\"\($0)\"" } ?? ""
        elements.append(
            "<line x1=\"\(n(x1))\" y1=\"\(n(y1))\" x2=\"\(n(x2))\" y2=\"\(n(y2))\""
                + " stroke=\"\(color)\" stroke-width=\"\(n(thickness))\"\(dash)/>")
    }

    mutating func polyline(_ points: [(Double, Double)], color: String, dashes: String?) {
        let dash = dashes.map { " stroke-dasharray=\"\($0)\"" } ?? ""
        let list = points.map { "\(n($0.0)),\(n($0.1))" }.joined(separator: " ")
        elements.append(
            "<polyline points=\"\(list)\" fill=\"none\" stroke=\"\(color)\""
                + " stroke-width=\"2\"\(dash)/>")
    }

    /// A point's mark; its shape says what colour says, for who sees no colours.
    mutating func mark(_ x: Double, _ y: Double, shape: Int, color: String) {
        let paths = [
            "M-4 -4H4V4H-4Z", "M0 -5L5 4H-5Z", "M0 -6L5 0L0 6L-5 0Z", "M-5 -4H5L0 5Z",
        ]
        let style = "fill=\"\(color)\" stroke=\"white\" stroke-width=\"1\""
        elements.append(
            "<path transform=\"translate(\(n(x)) \(n(y)))\" d=\"\(paths[shape % paths.count])\""
                + " \(style)/>")
    }

    /// Text with a white rim, so that it is read over lines.
    mutating func text(
        _ text: String, _ x: Double, _ y: Double, anchor: Anchor = .start, size: Double = 12,
        bold: Bool = false, upward: Bool = false
    ) {
        let weight = bold ? " font-weight=\"bold\"" : ""
        let turn = upward ? " transform=\"rotate(-90 \(n(x)) \(n(y)))\"" : ""
        elements.append(
            "<text x=\"\(n(x))\" y=\"\(n(y))\" text-anchor=\"\(anchor.rawValue)\""
                + " font-size=\"\(n(size))\" fill=\"\(Self.ink)\" paint-order=\"stroke\""
                + " stroke=\"white\" stroke-width=\"3\"\(weight)\(turn)>"
                + "\(Self.escape(text))</text>")
    }

    /// The whole file.
    var svg: String {
        """
        <svg xmlns="http://www.w3.org/2000/svg" width="\(n(width))" height="\(n(height))" \
        viewBox="0 0 \(n(width)) \(n(height))" font-family="DejaVu Sans, Helvetica, sans-serif">
        <rect width="100%" height="100%" fill="white"/>
        \(elements.joined(separator: "\n"))
        </svg>

        """
    }

    private func n(_ value: Double) -> String {
        let tenths = (value * 10).rounded() / 10
        return tenths == tenths.rounded() ? "\(Int(tenths))" : "\(tenths)"
    }

    private static func escape(_ text: String) -> String {
        text.replacingOccurrences(of: "&", with: "&amp;")
            .replacingOccurrences(of: "<", with: "&lt;")
            .replacingOccurrences(of: ">", with: "&gt;")
    }
}

/// Where the marks of an axis go.
enum Scale {
    /// Round numbers from 0 to at least `largest`: 1, 2 or 5 times a power of ten apart.
    static func marks(upTo largest: Double, about count: Int = 5) -> [Double] {
        guard largest > 0, largest.isFinite else { return [0, 1] }
        let raw = largest / Double(count)
        let power = pow(10, floor(log10(raw)))
        let step = [1, 2, 5, 10].map { $0 * power }.first { $0 >= raw * 0.999 } ?? power * 10
        return (0...Int((largest / step).rounded(.up))).map { Double($0) * step }
    }

    /// 1, 2 and 5 times powers of ten, from below the smallest to above the largest.
    static func logMarks(_ smallest: Double, _ largest: Double) -> [Double] {
        guard smallest > 0, largest.isFinite, largest >= smallest else { return [1, 10] }
        let powers = Int(floor(log10(smallest)))...Int(ceil(log10(largest)))
        let all = powers.flatMap { power in [1, 2, 5].map { $0 * pow(10, Double(power)) } }
        let first = all.lastIndex { $0 <= smallest } ?? 0
        let last = all.firstIndex { $0 >= largest } ?? all.count - 1
        // One more where all is on one mark, for an axis has a length.
        return Array(all[first...min(max(last, first + 1), all.count - 1)])
    }

    /// A number for people: four digits at most where it is below ten thousand.
    static func text(_ value: Double) -> String {
        switch abs(value) {
        case 1_000_000...: text(value / 1_000_000) + "M"
        case 10_000...: text((value / 1000).rounded()) + "k"
        case 100...: "\(Int(value.rounded()))"
        default: String(format: "%g", (value * 100).rounded() / 100)
        }
    }
}
