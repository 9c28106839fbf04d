// The ring engine's algorithm in C, to hold the one in Swift against, and the driver's side of a
// ring for both. Measured as it is compiled with -O3; see `ringway-bench ring`.
#ifndef CRING_H
#define CRING_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// One region of guest memory: where the guest sees it, its bytes, and where it is here.
struct ring_region {
    uint64_t guest_address, byte_count;
    uint8_t *host;
};

enum ring_shape {
    ring_shape_one,      // a buffer of 4 KiB to write
    ring_shape_block,    // 16 bytes to read, 4 KiB and 1 byte to write
    ring_shape_indirect, // the same through a table
};

// Descriptors of the rings measured, and chains that are used in turn.
enum { ring_size = 1024, ring_slots = 256 };

// Guest memory: two regions of 8 MiB, all zero. The ring and what is small lie in the first, the
// buffers of 4 KiB in its upper half or in the second region.
struct ring_guest {
    struct ring_region regions[2];
    int data_is_apart;
};

// Where the ring's parts lie in the first region: the descriptors, what the driver writes, what
// the device writes.
enum { ring_descriptors = 0, ring_driver_area = 0x4000, ring_device_area = 0x8000 };

// The driver's side of one ring, and its chains laid out in memory once.
struct ring_driver;
struct ring_driver *ring_driver_create(int packed, enum ring_shape shape,
                                       const struct ring_guest *guest);
void ring_driver_destroy(struct ring_driver *driver);
// Makes `count` chains available, ring_slots at most.
void ring_driver_offer(struct ring_driver *driver, unsigned count);
// Takes the used chains back. Returns 0 where they are those that were offered, in that order and
// with all of their writable bytes written.
int ring_driver_take_back(struct ring_driver *driver);

// The device's side in C, with event indices.
struct ring_device;
struct ring_device *ring_device_create(int packed, const struct ring_guest *guest);
void ring_device_destroy(struct ring_device *device);

// The measured ones: take what is there, give each chain back, publish. Return chains taken, or a
// negative number where the ring was found broken.
long ring_breathe_split(struct ring_device *device);
long ring_breathe_packed(struct ring_device *device);

// Nanoseconds by the monotonic clock.
uint64_t ring_now(void);
// Does nothing; marks in a profile where one measurement ends.
void ring_mark(void);

#ifdef __cplusplus
}
#endif
#endif
