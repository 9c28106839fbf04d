import Foundation
import Testing
import VhostUserFrontend

@testable import ringway_bench

@Suite struct ProcessMemoryTests {
    private let status = """
        Name:\tp
        VmRSS:\t    1000 kB
        RssAnon:\t     100 kB
        RssFile:\t      20 kB
        RssShmem:\t     880 kB
        """

    /// A mapping of /proc/PID/smaps.
    private func mapping(
        _ path: String, _ rights: String = "rw-s", clean: Int = 0, dirty: Int = 0, huge: Int = 0
    ) -> String {
        """
        7f0000000000-7f0000100000 \(rights) 00000000 00:01 77                       \(path)
        Size:               1024 kB
        Rss:                 500 kB
        Private_Clean:  \(clean) kB
        Private_Dirty:  \(dirty) kB
        Private_Hugetlb:  \(huge) kB
        THPeligible:           0
        VmFlags: rd wr sh mr mw me ms sd

        """
    }

    @Test func whatIsSharedWithNobodyIsItsOwn() {
        // The second is a guest's: what both map is not private.
        let map =
            mapping("/memfd:nohuge (deleted)", clean: 1, dirty: 200)
            + mapping("/memfd:guest (deleted)")
        let memory = ProcessMemory(status: status, map: map)
        #expect(memory.residentKiB == 1000)
        #expect(memory.ownKiB == 100 + 20 + 201)
        #expect(memory.ownHugeKiB == 0)
    }

    @Test func whatTheStatusHasIsNotCountedTwice() {
        let map =
            mapping("[heap]", "rw-p", dirty: 100) + mapping("/usr/lib/l.so", "r--p", clean: 20)
            + mapping("/var/file", "rw-s", dirty: 5)
        #expect(ProcessMemory(status: status, map: map).ownKiB == 120)
    }

    @Test func hugePagesCountByThemselves() {
        let map =
            mapping("/memfd:hugepage_2048kB (deleted)", huge: 4096)
            + mapping("/anon_hugepage (deleted)", "rw-p", huge: 2048)
        let memory = ProcessMemory(status: status, map: map)
        #expect(memory.ownHugeKiB == 6144)
        #expect(memory.ownKiB == 120)
    }

    /// More mappings than the kernel tells of at once.
    @Test func aLongMapIsReadToItsEnd() throws {
        let before = try #require(ProcessMemory(pid: getpid()))
        // Each is a mapping of its own, and shared with nobody.
        let kept = try (0..<400).map { _ in try GuestRAM(byteCount: 64 << 10) }
        for ram in kept { ram.fill(1, count: 64 << 10, at: 0) }
        let after = try #require(ProcessMemory(pid: getpid()))
        #expect(after.ownKiB >= before.ownKiB + (20 << 10))
    }

    @Test func thisProcessHasMemory() throws {
        let memory = try #require(ProcessMemory(pid: getpid()))
        #expect(memory.ownKiB > 0 && memory.ownKiB <= memory.residentKiB)
        #expect(ProcessMemory(pid: -1) == nil)
    }
}

@Suite struct TestpmdCountsTests {
    private let said = """
        show port stats 0

          ######################## NIC statistics for port 0  ########################
          RX-packets: 1234567    RX-missed: 1          RX-bytes:  79012288
          RX-errors: 20
          RX-nombuf:  300
          TX-packets: 7654321    TX-errors: 4000       TX-bytes:  489876544

          Throughput (since last show)
          Rx-pps:      9123456          Rx-bps:   4671209472
          Tx-pps:      9123456          Tx-bps:   4671209472
          ############################################################################
        testpmd>
        """

    @Test func countsAreReadFromWhatItSays() throws {
        let counts = try #require(TestpmdCounts(said))
        #expect(counts.received == 1_234_567 && counts.sent == 7_654_321)
        #expect(counts.errors == 4321)
    }

    @Test(arguments: [
        "RX-packets", "TX-packets", "RX-missed", "RX-errors", "RX-nombuf", "TX-errors",
    ])
    func whatIsMissingIsNotTakenForZero(name: String) {
        #expect(TestpmdCounts(said.replacingOccurrences(of: name, with: "other")) == nil)
    }
}
