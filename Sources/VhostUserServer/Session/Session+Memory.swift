import GuestMemory
import Host
import Logging
import VirtioSpec

/// Messages about the guest's memory.
extension Session {
    func setMemoryTable(
        _ regions: [MemoryRegion], _ descriptors: inout ReceivedFDs
    ) throws(Refusal) {
        guard descriptors.count == regions.count else {
            throw .regionsWithoutFiles(regions: regions.count, files: descriptors.count)
        }
        var next = GuestMap.empty
        for (index, region) in regions.enumerated() {
            guard let file = descriptors.take(index) else { throw .descriptorMissing }
            next = try adding(region, file, to: next)
        }
        let removed = map.allMappings
        map = next
        sayMemory()
        try spreadMemory(removed: removed)
    }

    func addRegion(
        _ region: MemoryRegion, _ descriptors: inout ReceivedFDs
    ) throws(Refusal) {
        guard let file = descriptors.take(0) else { throw .descriptorMissing }
        map = try adding(region, file, to: map)
        sayMemory()
        try spreadMemory(removed: [])
    }

    func removeRegion(_ region: MemoryRegion) throws(Refusal) {
        let removed: Mapping
        do throws(MemoryFault) { (map, removed) = try map.removing(region) } catch {
            throw .memory(error)
        }
        try spreadMemory(removed: [removed])
    }

    private func adding(
        _ region: MemoryRegion, _ file: borrowing OwnedFD, to map: GuestMap
    ) throws(Refusal) -> GuestMap {
        do throws(MemoryFault) { return try map.adding(region, file: file) } catch {
            throw .memory(error)
        }
    }

    private func sayMemory() {
        hasHadMemory = true
        let bytes = map.regions.reduce(UInt64(0)) { $0 + $1.byteCount }
        logger.debug("guest memory: \(bytes >> 20) MiB in \(map.regions.count) regions")
    }
}
