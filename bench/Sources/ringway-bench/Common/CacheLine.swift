import Host
import Synchronization

/// What it takes to send a cache line from one processor to another and back. The same two may be
/// near or far from each other at different times, in a virtual machine above all; what a polled
/// ring does depends on it, so a figure says little without.
enum CacheLine {
    /// Nanoseconds of a round trip: the median over `milliseconds`. Nil where a processor can't be
    /// used.
    static func roundTrip(_ one: Int32, _ other: Int32, milliseconds: UInt64 = 30) -> Double? {
        guard one != other, Processors.mayRun(on: one), Processors.mayRun(on: other) else {
            return nil
        }
        let court = Court()
        guard
            let answering = try? Thread(name: "c2c answer", cpus: [other], body: { court.answer() })
        else { return nil }
        let serving = try? Thread(name: "c2c serve", cpus: [one]) {
            court.serve(nanoseconds: milliseconds * 1_000_000)
        }
        guard let serving else {
            court.stop()
            answering.join()
            return nil
        }
        serving.join()
        answering.join()
        return court.median
    }

    /// The line that goes to and fro, and nothing else near it.
    private final class Court: Sendable {
        private let before = InlineArray<16, Int>(repeating: 0)
        private let ball = Atomic<Int>(0)
        private let between = InlineArray<16, Int>(repeating: 0)
        private let isOver = Atomic<Bool>(false)
        private let samples = Mutex<[Double]>([])

        func stop() { isOver.store(true, ordering: .releasing) }

        /// Makes every odd number even.
        func answer() {
            var number = 1
            while !isOver.load(ordering: .relaxed) {
                guard ball.load(ordering: .acquiring) == number else { continue }
                ball.store(number + 1, ordering: .releasing)
                number += 2
            }
        }

        /// Sends odd numbers, a hundred to a sample.
        func serve(nanoseconds: UInt64) {
            var number = 1
            var taken: [Double] = []
            let start = Clock.nanoseconds()
            var last = start
            while last - start < nanoseconds {
                for _ in 0..<100 {
                    ball.store(number, ordering: .releasing)
                    while ball.load(ordering: .acquiring) != number + 1 {}
                    number += 2
                }
                let now = Clock.nanoseconds()
                taken.append(Double(now - last) / 100)
                last = now
            }
            samples.withLock { $0 = taken }
            stop()
        }

        var median: Double? {
            samples.withLock { samples in
                samples.isEmpty ? nil : samples.sorted()[samples.count / 2]
            }
        }
    }
}
