/// Choices as a random generator would make them, but every sequence of them in turn: for tests of
/// all cases there are.
///
///     let choices = Exhaustive()
///     while choices.begin() { check(choices.below(3), choices.bool()) }  // six times
///
/// What may be chosen must depend on nothing but what was chosen before. Between two turns of the
/// loop the last choice that has another value left takes it, and those after it begin again.
final class Exhaustive {
    private var path: [(value: Int, bound: Int)] = []
    private var place = 0
    /// Cases begun so far.
    private(set) var cases = 0

    /// Begins the next case; false where there is none left.
    func begin() -> Bool {
        precondition(place == path.count, "a case made fewer choices than the time before")
        place = 0
        cases += 1
        if cases == 1 { return true }
        while let last = path.popLast() {
            guard last.value + 1 < last.bound else { continue }
            path.append((last.value + 1, last.bound))
            return true
        }
        cases -= 1
        return false
    }

    /// 0, 1, ... `bound` - 1.
    func below(_ bound: Int) -> Int {
        precondition(bound > 0)
        if place == path.count { path.append((0, bound)) }
        let choice = path[place]
        precondition(choice.bound == bound, "a choice depends on more than those before it")
        place += 1
        return choice.value
    }

    func bool() -> Bool { below(2) == 1 }

    func element<Element>(of list: [Element]) -> Element { list[below(list.count)] }

    /// What was chosen in this case, for the message of an expectation.
    var note: String { "choices \(path.prefix(place).map(\.value))" }
}
