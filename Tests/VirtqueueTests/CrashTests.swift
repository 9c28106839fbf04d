import CStoreTrace
import Testing

/// The traced memory is the process's one: a test at a time.
@Suite(
    "A device that ends between any two of its stores loses no chain and repeats none",
    .serialized, .enabled(if: store_trace_works() != 0))
struct CrashTests {
    @Test("After each store of a device's life", arguments: CrashPlan.all)
    func everyStore(plan: CrashPlan) throws {
        let memory = try CrashMemory(queueSize: plan.size)
        var stop = 1
        while true {
            let run = try CrashRun(plan, memory)
            guard try run.live(until: stop) else { break }
            run.die()
            try run.recover()
            try run.finish()
            try #require(run.trouble == nil, "store \(stop): \(run.trouble ?? "")")
            stop += 1
        }
        print("\(plan): \(stop - 1) stores")
        #expect(stop > 30)
    }

    @Test(
        "And again after each store of the next device's beginning",
        arguments: CrashPlan.all.filter { $0.batch == 3 })
    func everyStoreTwice(plan: CrashPlan) throws {
        let memory = try CrashMemory(queueSize: plan.size)
        var pairs = 0
        var first = 1
        var isThere = true
        while isThere {
            var second = 1
            while true {
                let run = try CrashRun(plan, memory)
                isThere = try run.live(until: first)
                guard isThere else { break }
                run.die()
                guard try run.recover(until: second) else { break }
                run.die()
                try run.recover()
                try run.finish()
                try #require(
                    run.trouble == nil, "stores \(first) and \(second): \(run.trouble ?? "")")
                pairs += 1
                second += 1
            }
            first += 1
        }
        print("\(plan): \(pairs) pairs of stores")
        #expect(pairs > 100)
    }
}
