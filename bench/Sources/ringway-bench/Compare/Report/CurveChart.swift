import Foundation

/// Curves over a few named steps, in panels side by side with one scale.
struct CurveChart {
    struct Curve {
        let name: String
        /// One for each step; nil where there is none.
        let values: [Double?]
        /// Curves of one colour belong together.
        let color: Int
        let isDashed: Bool
    }

    struct Panel {
        let title: String
        let curves: [Curve]
    }

    let title: String
    let steps: [String]
    let stepAxis: String
    let valueAxis: String
    let isLogarithmic: Bool
    let panels: [Panel]

    private let panelWidth = 360.0
    private let panelHeight = 260.0
    private let left = 76.0
    private let gap = 30.0

    var svg: String {
        let top = 84.0
        // Of those that have something to show, each name once.
        var entries: [Curve] = []
        for curve in panels.flatMap(\.curves) where curve.values.contains(where: { $0 != nil }) {
            if !entries.contains(where: { $0.name == curve.name }) { entries.append(curve) }
        }
        let legendTop = top + panelHeight + 66
        let panelsWidth = Double(panels.count) * (panelWidth + gap)
        var drawing = Drawing(
            width: max(left + panelsWidth, 520),
            height: legendTop + 20 * Double((entries.count + 1) / 2) + 4)
        drawing.text(title, 16, 26, size: 16, bold: true)
        drawing.text(
            valueAxis, 20, top + panelHeight / 2, anchor: .middle, upward: true)
        let marks = self.marks
        for (index, panel) in panels.enumerated() {
            let x = left + Double(index) * (panelWidth + gap)
            frame(&drawing, panel, x, top, marks, hasNumbers: index == 0)
            for curve in panel.curves { draw(curve, &drawing, x, top, marks) }
        }
        for (index, curve) in entries.enumerated() {
            let x = 24 + Double(index % 2) * max(250, panelsWidth / 2)
            let y = legendTop + 20 * Double(index / 2)
            let color = Drawing.color(curve.color)
            drawing.polyline(
                [(x, y - 4), (x + 32, y - 4)], color: color, dashes: curve.isDashed ? "6 4" : nil)
            drawing.mark(x + 16, y - 4, shape: curve.color, color: color)
            drawing.text(curve.name, x + 40, y)
        }
        return drawing.svg
    }

    private var marks: [Double] {
        let values = panels.flatMap(\.curves).flatMap(\.values).compactMap { $0 }
        guard let largest = values.max(), let smallest = values.min() else { return [0, 1] }
        return isLogarithmic ? Scale.logMarks(smallest, largest) : Scale.marks(upTo: largest)
    }

    private func frame(
        _ drawing: inout Drawing, _ panel: Panel, _ x: Double, _ top: Double, _ marks: [Double],
        hasNumbers: Bool
    ) {
        let bottom = top + panelHeight
        drawing.text(panel.title, x + panelWidth / 2, top - 12, anchor: .middle, size: 13)
        for mark in marks {
            let y = self.y(mark, top, marks)
            drawing.line(x, y, x + panelWidth, y, color: Drawing.pale)
            if hasNumbers { drawing.text(Scale.text(mark), x - 8, y + 4, anchor: .end) }
        }
        for (index, step) in steps.enumerated() {
            drawing.text(step, self.x(index, x), bottom + 18, anchor: .middle)
        }
        drawing.text(stepAxis, x + panelWidth / 2, bottom + 38, anchor: .middle)
        drawing.line(x, top, x, bottom)
        drawing.line(x, bottom, x + panelWidth, bottom)
    }

    private func draw(
        _ curve: Curve, _ drawing: inout Drawing, _ left: Double, _ top: Double, _ marks: [Double]
    ) {
        let color = Drawing.color(curve.color)
        let points = curve.values.enumerated().compactMap { index, value in
            value.map { (x(index, left), y($0, top, marks)) }
        }
        if points.count > 1 {
            drawing.polyline(points, color: color, dashes: curve.isDashed ? "6 4" : nil)
        }
        for point in points { drawing.mark(point.0, point.1, shape: curve.color, color: color) }
    }

    private func x(_ step: Int, _ left: Double) -> Double {
        let margin = 40.0
        guard steps.count > 1 else { return left + panelWidth / 2 }
        return left + margin + Double(step) * (panelWidth - 2 * margin) / Double(steps.count - 1)
    }

    private func y(_ value: Double, _ top: Double, _ marks: [Double]) -> Double {
        guard let low = marks.first, let high = marks.last, high > low else { return top }
        let part =
            isLogarithmic ? log(value / low) / log(high / low) : (value - low) / (high - low)
        return top + panelHeight * (1 - part)
    }
}
