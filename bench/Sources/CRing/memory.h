// The guest's memory as GuestMemory and IOVectors keep it, in C: regions sorted by guest address,
// a look-up that begins where the last one hit, and lists of buffers.
#ifndef CRING_MEMORY_H
#define CRING_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "CRing.h"

struct memory {
    const struct ring_region *regions;
    size_t count, last;
};

enum lookup { found, unmapped, full };

struct vectors {
    struct iovec *base;
    size_t capacity, first, end, bytes;
};

struct buffers {
    struct vectors readable, writable;
};

enum { table_capacity = 1024, buffer_capacity = 2 * table_capacity + 512 };

enum { flag_next = 1, flag_write = 2, flag_indirect = 4 };

static inline void vectors_clear(struct vectors *list) {
    list->first = list->end = list->bytes = 0;
}

static inline size_t vectors_count(const struct vectors *list) { return list->end - list->first; }

// A buffer that continues the last one becomes part of it. False where the list is full.
static inline bool vectors_append(struct vectors *list, uint8_t *address, size_t bytes) {
    if (bytes == 0) return true;
    struct iovec *end = list->base + list->end;
    if (list->end > list->first && (uint8_t *)end[-1].iov_base + end[-1].iov_len == address) {
        end[-1].iov_len += bytes;
    } else {
        if (list->end >= list->capacity) return false;
        *end = (struct iovec){.iov_base = address, .iov_len = bytes};
        list->end++;
    }
    list->bytes += bytes;
    return true;
}

static inline bool region_contains(const struct ring_region *region, uint64_t address) {
    return address - region->guest_address < region->byte_count;
}

// The region that holds `address`, or null. By halves where it is not the last one asked for.
static __attribute__((noinline)) const struct ring_region *memory_search(struct memory *memory,
                                                                        uint64_t address) {
    size_t low = 0, high = memory->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (memory->regions[middle].guest_address <= address) low = middle + 1;
        else high = middle;
    }
    if (low == 0 || !region_contains(&memory->regions[low - 1], address)) return NULL;
    memory->last = low - 1;
    return &memory->regions[low - 1];
}

static inline const struct ring_region *memory_find(struct memory *memory, uint64_t address) {
    if (memory->last < memory->count && region_contains(&memory->regions[memory->last], address))
        return &memory->regions[memory->last];
    return memory_search(memory, address);
}

// Adds guest memory to a list, in pieces where it crosses from one region into the next.
static inline enum lookup memory_append(struct memory *memory, uint64_t address, uint32_t length,
                                        struct vectors *list) {
    uint64_t left = length;
    while (left > 0) {
        const struct ring_region *region = memory_find(memory, address);
        if (!region) return unmapped;
        uint64_t offset = address - region->guest_address;
        uint64_t room = region->byte_count - offset;
        uint64_t piece = left < room ? left : room;
        if (!vectors_append(list, region->host + offset, piece)) return full;
        left -= piece;
        address += piece;
    }
    return found;
}

// Copies a table out of guest memory, so that what is judged is what is used.
static inline bool memory_read_table(struct memory *memory, uint64_t address, size_t count,
                                     uint64_t *table) {
    size_t bytes = count * 16, done = 0;
    while (done < bytes) {
        const struct ring_region *region = memory_find(memory, address);
        if (!region) return false;
        uint64_t offset = address - region->guest_address;
        uint64_t room = region->byte_count - offset;
        size_t piece = bytes - done < room ? bytes - done : room;
        memcpy((uint8_t *)table + done, region->host + offset, piece);
        done += piece;
        address += piece;
    }
    return true;
}

// Why a ring is broken, with what shows it.
enum violation_kind {
    none,
    index_jump,
    head_out_of_range,
    head_in_flight,
    next_out_of_range,
    chain_too_long,
    readable_after_writable,
    nested_indirect,
    indirect_with_next,
    indirect_length,
    not_mapped,
    too_many_buffers,
    too_many_bytes,
};

struct violation {
    enum violation_kind kind;
    uint16_t head, next;
    uint32_t bytes;
    uint64_t address;
};

// Copies an indirect table out of guest memory. Returns its entries, or 0 where it may not be.
static inline size_t copy_table(struct memory *memory, uint64_t address, uint32_t bytes,
                                uint16_t head, uint64_t *table, struct violation *violation) {
    size_t count = bytes / 16;
    if (bytes % 16 != 0 || count == 0 || count > table_capacity) {
        *violation = (struct violation){.kind = indirect_length, .head = head, .bytes = bytes};
        return 0;
    }
    if (!memory_read_table(memory, address, count, table)) {
        *violation = (struct violation){
            .kind = not_mapped, .head = head, .address = address, .bytes = bytes};
        return 0;
    }
    return count;
}

// Adds one descriptor's buffer to its list, if the chain's rules let it. Inlined as it is in Swift:
// clang by itself would not, and be slower.
static __attribute__((always_inline)) inline bool buffers_add(struct buffers *buffers,
                                                              struct memory *memory,
                                                              uint64_t address, uint32_t length,
                                                              bool is_writable, uint16_t head,
                                                              struct violation *violation) {
    struct vectors *list = &buffers->writable;
    if (!is_writable) {
        if (vectors_count(&buffers->writable) != 0) {
            *violation = (struct violation){.kind = readable_after_writable, .head = head};
            return false;
        }
        list = &buffers->readable;
    }
    enum lookup lookup = memory_append(memory, address, length, list);
    if (lookup != found) {
        *violation = (struct violation){.kind = lookup == full ? too_many_buffers : not_mapped,
                                        .head = head,
                                        .address = address,
                                        .bytes = length};
        return false;
    }
    if (list->bytes > UINT32_MAX) {
        *violation = (struct violation){.kind = too_many_bytes, .head = head};
        return false;
    }
    return true;
}

static inline uint16_t load16(const uint16_t *word) {
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline uint16_t acquire16(const uint16_t *word) {
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

#endif
