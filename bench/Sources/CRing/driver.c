// The driver's side, as plain as it can be: it is not what is measured.
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "CRing.h"

enum { flag_next = 1, flag_write = 2, flag_indirect = 4 };
enum { flag_available = 1 << 7, flag_used = 1 << 15 };

struct buffer {
    uint64_t address;
    uint32_t length;
    uint16_t flags;
};

struct ring_driver {
    bool packed;
    uint8_t *base;
    unsigned descriptors; // of one chain, in the ring
    uint32_t writable;    // bytes of one chain
    struct buffer chains[ring_slots][3];
    // Chains offered and taken back, ever.
    uint64_t offered, taken;
    // The packed ring's positions, and their wrap counters.
    unsigned available, used;
    bool available_wrap, used_wrap;
};

// A chain's buffers: the header and the status byte of a request lie together, the data apart.
static unsigned lay_out(struct buffer *buffers, enum ring_shape shape, uint64_t request,
                        uint64_t data) {
    struct buffer writable = {.address = data, .length = 4096, .flags = flag_write};
    if (shape == ring_shape_one) {
        buffers[0] = writable;
        return 1;
    }
    buffers[0] = (struct buffer){.address = request, .length = 16};
    buffers[1] = writable;
    buffers[2] = (struct buffer){.address = request + 32, .length = 1, .flags = flag_write};
    return 3;
}

static void put_split(uint64_t *words, struct buffer buffer, int next) {
    uint64_t flags = buffer.flags | (next >= 0 ? flag_next : 0);
    words[0] = buffer.address;
    words[1] = buffer.length | flags << 32 | (uint64_t)(next >= 0 ? next : 0) << 48;
}

static void put_packed(uint64_t *words, struct buffer buffer, unsigned id, uint64_t flags) {
    __atomic_store_n(&words[0], buffer.address, __ATOMIC_RELAXED);
    __atomic_store_n(&words[1],
                     buffer.length | (uint64_t)id << 32 | (buffer.flags | flags) << 48,
                     __ATOMIC_RELEASE);
}

struct ring_driver *ring_driver_create(int packed, enum ring_shape shape,
                                       const struct ring_guest *guest) {
    struct ring_driver *driver = calloc(1, sizeof *driver);
    if (!driver) abort();
    const struct ring_region *first = &guest->regions[0];
    driver->packed = packed;
    driver->base = first->host;
    driver->available_wrap = driver->used_wrap = true;
    driver->writable = shape == ring_shape_one ? 4096 : 4097;
    uint64_t data = guest->data_is_apart ? guest->regions[1].guest_address
                                         : first->guest_address + (4 << 20);
    uint64_t *ring = (uint64_t *)(void *)(driver->base + ring_descriptors);
    for (unsigned slot = 0; slot < ring_slots; slot++) {
        struct buffer *chain = driver->chains[slot];
        uint64_t request = 0x40000 + slot * 64;
        unsigned count = lay_out(chain, shape, first->guest_address + request, data);
        data += 4096;
        if (shape == ring_shape_indirect) {
            uint64_t place = 0x20000 + slot * 64;
            uint64_t *table = (uint64_t *)(void *)(driver->base + place);
            for (unsigned i = 0; i < count; i++) {
                if (packed) put_packed(&table[i * 2], chain[i], 0, 0);
                else put_split(&table[i * 2], chain[i], i + 1 < count ? (int)i + 1 : -1);
            }
            chain[0] = (struct buffer){.address = first->guest_address + place,
                                       .length = count * 16,
                                       .flags = flag_indirect};
            count = 1;
        }
        driver->descriptors = count;
        if (packed) continue;
        for (unsigned i = 0; i < count; i++) {
            unsigned index = slot * count + i;
            put_split(&ring[index * 2], chain[i], i + 1 < count ? (int)index + 1 : -1);
        }
    }
    return driver;
}

void ring_driver_destroy(struct ring_driver *driver) { free(driver); }

static void offer_split(struct ring_driver *driver, unsigned count) {
    uint16_t *available = (uint16_t *)(void *)(driver->base + ring_driver_area);
    for (unsigned i = 0; i < count; i++, driver->offered++) {
        unsigned slot = driver->offered % ring_slots;
        __atomic_store_n(&available[2 + driver->offered % ring_size],
                         (uint16_t)(slot * driver->descriptors), __ATOMIC_RELAXED);
    }
    // A call is wanted for the next used chain.
    __atomic_store_n(&available[2 + ring_size], (uint16_t)driver->taken, __ATOMIC_RELAXED);
    __atomic_store_n(&available[1], (uint16_t)driver->offered, __ATOMIC_RELEASE);
}

static void offer_packed(struct ring_driver *driver, unsigned count) {
    uint64_t *ring = (uint64_t *)(void *)(driver->base + ring_descriptors);
    uint16_t *event = (uint16_t *)(void *)(driver->base + ring_driver_area);
    uint16_t place = (uint16_t)(driver->used | (driver->used_wrap ? 1u << 15 : 0));
    __atomic_store_n(&event[0], place, __ATOMIC_RELAXED);
    __atomic_store_n(&event[1], 2, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < count; i++, driver->offered++) {
        unsigned slot = driver->offered % ring_slots, first = driver->available;
        uint64_t first_flags = 0;
        for (unsigned n = 0; n < driver->descriptors; n++) {
            uint64_t flags = driver->available_wrap ? flag_available : flag_used;
            if (n + 1 < driver->descriptors) flags |= flag_next;
            if (n == 0) first_flags = flags;
            else put_packed(&ring[driver->available * 2], driver->chains[slot][n], slot, flags);
            if (++driver->available == ring_size) {
                driver->available = 0;
                driver->available_wrap = !driver->available_wrap;
            }
        }
        // The first makes the chain available.
        put_packed(&ring[first * 2], driver->chains[slot][0], slot, first_flags);
    }
}

void ring_driver_offer(struct ring_driver *driver, unsigned count) {
    if (driver->packed) offer_packed(driver, count);
    else offer_split(driver, count);
}

static int take_back_split(struct ring_driver *driver) {
    const uint32_t *used = (const uint32_t *)(const void *)(driver->base + ring_device_area);
    uint16_t index = (uint16_t)(__atomic_load_n(&used[0], __ATOMIC_ACQUIRE) >> 16);
    if (index != (uint16_t)driver->offered) return -1;
    for (; driver->taken < driver->offered; driver->taken++) {
        const uint32_t *entry = &used[1 + driver->taken % ring_size * 2];
        if (entry[0] != driver->taken % ring_slots * driver->descriptors) return -1;
        if (entry[1] != driver->writable) return -1;
    }
    return 0;
}

static int take_back_packed(struct ring_driver *driver) {
    const uint64_t *ring = (const uint64_t *)(const void *)(driver->base + ring_descriptors);
    for (; driver->taken < driver->offered; driver->taken++) {
        uint64_t word = __atomic_load_n(&ring[driver->used * 2 + 1], __ATOMIC_ACQUIRE);
        unsigned both = flag_available | flag_used;
        if ((word >> 48 & both) != (driver->used_wrap ? both : 0)) return -1;
        if ((uint32_t)word != driver->writable) return -1;
        if ((uint16_t)(word >> 32) != driver->taken % ring_slots) return -1;
        driver->used += driver->descriptors;
        if (driver->used >= ring_size) {
            driver->used -= ring_size;
            driver->used_wrap = !driver->used_wrap;
        }
    }
    return 0;
}

int ring_driver_take_back(struct ring_driver *driver) {
    return driver->packed ? take_back_packed(driver) : take_back_split(driver);
}

uint64_t ring_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

__attribute__((noinline)) void ring_mark(void) { __asm__ volatile(""); }
