/// Horizontal bars of ratios, grouped, with a line at 1.
struct BarChart {
    struct Group {
        let label: String
        /// One for each series; nil where there is none.
        let values: [Double?]
        /// A ratio that is asked for, marked.
        let target: Double?
    }

    let title: String
    let axis: String
    let series: [String]
    /// The series' places among the colours.
    let colors: [Int]
    let groups: [Group]

    var svg: String {
        let left = 230.0
        let right = 60.0
        let top = 84.0
        let bar = 13.0
        let each = bar * Double(series.count) + 14
        let width = 860.0
        let bottom = top + each * Double(groups.count)
        var drawing = Drawing(width: width, height: bottom + 52)
        let all: [Double] = groups.flatMap { group in
            group.values.compactMap { $0 } + [group.target ?? 1]
        }
        let marks = Scale.marks(upTo: max(1.2, all.max() ?? 1))
        let scale = (width - left - right) / (marks.last ?? 1)

        drawing.text(title, 16, 26, size: 16, bold: true)
        legend(&drawing, at: 52)
        for mark in marks {
            let x = left + mark * scale
            drawing.line(x, top - 6, x, bottom, color: Drawing.pale)
            drawing.text(Scale.text(mark), x, bottom + 18, anchor: .middle)
        }
        drawing.text(axis, left + (width - left - right) / 2, bottom + 40, anchor: .middle)
        for (row, group) in groups.enumerated() {
            let y = top + each * Double(row)
            let height = bar * Double(series.count)
            drawing.text(group.label, left - 10, y + height / 2 + 4, anchor: .end)
            for (index, value) in group.values.enumerated() {
                let barTop = y + bar * Double(index)
                guard let value else { continue }
                drawing.rectangle(
                    x: left, y: barTop, width: value * scale, height: bar - 1,
                    color: Drawing.color(colors[index]))
            }
            if let target = group.target {
                let x = left + target * scale
                drawing.line(x, y - 4, x, y + height + 3, thickness: 3)
            }
        }
        drawing.line(left + scale, top - 6, left + scale, bottom, thickness: 1.5, dashes: "5 3")
        drawing.line(left, top - 6, left, bottom)
        // Over all that is drawn.
        for (row, group) in groups.enumerated() {
            for (index, value) in group.values.enumerated() {
                let y = top + each * Double(row) + bar * Double(index + 1) - 2.5
                guard let value else {
                    drawing.text("too few windows", left + 6, y - 1, size: 10)
                    continue
                }
                // Beyond a target's mark that it would touch.
                let target = group.target.map { $0 - value } ?? -1
                let touches = target * scale > -4 && target * scale < 40
                let end = touches ? value + max(target, 0) : value
                drawing.text(two(value), left + end * scale + 6, y, size: 11)
            }
        }
        return drawing.svg
    }

    private func legend(_ drawing: inout Drawing, at y: Double) {
        var x = 16.0
        for (index, name) in series.enumerated() {
            let color = Drawing.color(colors[index])
            drawing.rectangle(x: x, y: y - 10, width: 12, height: 12, color: color)
            drawing.text(name, x + 18, y)
            x += 40 + 7.2 * Double(name.count)
        }
        if groups.contains(where: { $0.target != nil }) {
            drawing.line(x + 4, y - 12, x + 4, y + 3, thickness: 3)
            drawing.text("target", x + 14, y)
            x += 76
        }
        drawing.line(x + 4, y - 12, x + 4, y + 3, thickness: 1.5, dashes: "5 3")
        drawing.text("equal", x + 14, y)
    }
}
