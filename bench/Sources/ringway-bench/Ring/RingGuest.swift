import CRing
import GuestMemory
import Host
import VhostUserFrontend
import VirtioSpec

/// Guest memory of two regions, as a guest's is that has memory on both sides of the hole below
/// 4 GiB; a ring lies in the first.
final class RingGuest {
    static let regionBytes: UInt64 = 8 << 20
    private let ram: GuestRAM
    let map: GuestMap
    /// The buffers of 4 KiB lie in the other region, so that look-ups hit the last one in vain.
    let dataIsApart: Bool

    init(dataIsApart: Bool) throws {
        let ram = try GuestRAM([
            .init(guestAddress: 0, byteCount: Self.regionBytes),
            .init(guestAddress: 4 << 30, byteCount: Self.regionBytes),
        ])
        var map = GuestMap.empty
        for region in ram.regions {
            // Every page is there before anything is measured.
            region.memory.mapping.fill(0, at: 0, count: Int(Self.regionBytes))
            map = try map.adding(region.description, file: region.memory.descriptor)
        }
        self.ram = ram
        self.map = map
        self.dataIsApart = dataIsApart
    }

    /// Where the ring's parts are, by user address.
    var addresses: RingAddresses {
        let base = ram.userAddress(0)
        return RingAddresses(
            descriptors: base + UInt64(ring_descriptors),
            available: base + UInt64(ring_driver_area),
            used: base + UInt64(ring_device_area))
    }

    /// The same memory as C sees it.
    func withC<R>(_ body: (UnsafePointer<ring_guest>) -> R) -> R {
        var guest = ring_guest()
        unsafe guest.regions = unsafe (region(0), region(1))
        guest.data_is_apart = dataIsApart ? 1 : 0
        return unsafe withUnsafePointer(to: &guest) { unsafe body($0) }
    }

    private func region(_ index: Int) -> ring_region {
        let region = ram.regions[index]
        return unsafe ring_region(
            guest_address: region.description.guestAddress,
            byte_count: region.description.byteCount,
            host: region.memory.mapping.baseAddress.assumingMemoryBound(to: UInt8.self))
    }
}

/// The driver's side of one ring.
@safe
struct RingDriver: ~Copyable {
    private let driver: OpaquePointer
    /// Kept, because the driver works in its memory.
    private let guest: RingGuest

    init(_ form: RingCase.Form, _ shape: RingCase.Shape, _ guest: RingGuest) {
        self.guest = guest
        unsafe driver = guest.withC {
            unsafe ring_driver_create(form == .packed ? 1 : 0, shape.c, $0)
        }
    }

    deinit { unsafe ring_driver_destroy(driver) }

    func offer(_ count: Int) { unsafe ring_driver_offer(driver, UInt32(count)) }

    /// Whether exactly what was offered came back.
    func takeBack() -> Bool { unsafe ring_driver_take_back(driver) == 0 }
}
