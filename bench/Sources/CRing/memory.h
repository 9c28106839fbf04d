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
    size_t count;
    // The region that was hit last, by value; before any hit one of no size.
    uint64_t start, byte_count;
    uint8_t *host;
};

enum lookup { found, unmapped, full, elsewhere };

struct vectors {
    struct iovec *base;
    size_t capacity, first, end, bytes;
    // Where the last buffer ends in memory, if another may continue it.
    uint8_t *tail;
};

struct buffers {
    struct vectors readable, writable;
};

enum { table_capacity = 1024, buffer_capacity = 2 * table_capacity + 512 };

enum { flag_next = 1, flag_write = 2, flag_indirect = 4 };

static inline void vectors_clear(struct vectors *list) {
    list->first = list->end = list->bytes = 0;
    list->tail = NULL;
}

static inline size_t vectors_count(const struct vectors *list) { return list->end - list->first; }

// A buffer of at least a byte; one that continues the last becomes part of it. False where the list
// is full.
static inline bool vectors_append(struct vectors *list, uint8_t *address, size_t bytes) {
    if (address == list->tail) {
        list->base[list->end - 1].iov_len += bytes;
    } else {
        if (list->end >= list->capacity) return false;
        list->base[list->end++] = (struct iovec){.iov_base = address, .iov_len = bytes};
    }
    list->tail = address + bytes;
    list->bytes += bytes;
    return true;
}

// Finds the region that holds `address`, by halves, and remembers it. False where there is none.
static __attribute__((noinline)) bool memory_search(struct memory *memory, uint64_t address) {
    size_t low = 0, high = memory->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (memory->regions[middle].guest_address <= address) low = middle + 1;
        else high = middle;
    }
    if (low == 0) return false;
    const struct ring_region *region = &memory->regions[low - 1];
    if (address - region->guest_address >= region->byte_count) return false;
    memory->start = region->guest_address;
    memory->byte_count = region->byte_count;
    memory->host = region->host;
    return true;
}

// Where `address` is in this process, and the bytes from there to its region's end.
static inline uint8_t *memory_find(struct memory *memory, uint64_t address, uint64_t *room) {
    if (address - memory->start >= memory->byte_count && !memory_search(memory, address))
        return NULL;
    uint64_t offset = address - memory->start;
    *room = memory->byte_count - offset;
    return memory->host + offset;
}

// Adds guest memory to a list, in pieces where it crosses from one region into the next.
static __attribute__((noinline)) enum lookup memory_append_pieces(struct memory *memory,
                                                                  uint64_t address,
                                                                  uint32_t length,
                                                                  struct vectors *list) {
    uint64_t left = length;
    while (left > 0) {
        uint64_t room;
        uint8_t *place = memory_find(memory, address, &room);
        if (!place) return unmapped;
        uint64_t piece = left < room ? left : room;
        if (!vectors_append(list, place, piece)) return full;
        left -= piece;
        address += piece;
    }
    return found;
}

// The same, if it is at least a byte and all in the region that was hit last.
static inline enum lookup memory_append_at_once(struct memory *memory, uint64_t address,
                                                uint32_t length, struct vectors *list) {
    uint64_t offset = address - memory->start;
    if (offset >= memory->byte_count || (uint64_t)length - 1 >= memory->byte_count - offset)
        return elsewhere;
    return vectors_append(list, memory->host + offset, length) ? found : full;
}

// Copies a table out of guest memory, so that what is judged is what is used.
static __attribute__((noinline)) bool memory_read_pieces(struct memory *memory, uint64_t address,
                                                         size_t count, uint64_t *table) {
    size_t bytes = count * 16, done = 0;
    while (done < bytes) {
        uint64_t room;
        const uint8_t *place = memory_find(memory, address, &room);
        if (!place) return false;
        size_t piece = bytes - done < room ? bytes - done : room;
        memcpy((uint8_t *)table + done, place, piece);
        done += piece;
        address += piece;
    }
    return true;
}

static inline bool memory_read_table(struct memory *memory, uint64_t address, size_t count,
                                     uint64_t *table) {
    size_t bytes = count * 16;
    uint64_t offset = address - memory->start;
    if (offset >= memory->byte_count || bytes > memory->byte_count - offset)
        return memory_read_pieces(memory, address, count, table);
    memcpy(table, memory->host + offset, bytes);
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

// A buffer that is not in the region hit last, or in none, or has no room.
static __attribute__((noinline)) bool buffers_add_elsewhere(struct buffers *buffers,
                                                            struct memory *memory,
                                                            uint64_t address, uint32_t length,
                                                            bool is_writable, uint16_t head,
                                                            struct violation *violation) {
    struct vectors *list = is_writable ? &buffers->writable : &buffers->readable;
    enum lookup lookup = memory_append_pieces(memory, address, length, list);
    if (lookup == found) return true;
    *violation = (struct violation){.kind = lookup == full ? too_many_buffers : not_mapped,
                                    .head = head,
                                    .address = address,
                                    .bytes = length};
    return false;
}

// Adds one descriptor's buffer to its list, if the chain's rules let it. Inlined as it is in Swift:
// clang by itself would not, and be slower.
static __attribute__((always_inline)) inline bool buffers_add(struct buffers *buffers,
                                                              struct memory *memory,
                                                              uint64_t address, uint32_t length,
                                                              bool is_writable, uint16_t head,
                                                              struct violation *violation) {
    enum lookup lookup;
    if (is_writable) {
        lookup = memory_append_at_once(memory, address, length, &buffers->writable);
    } else {
        if (vectors_count(&buffers->writable) != 0) {
            *violation = (struct violation){.kind = readable_after_writable, .head = head};
            return false;
        }
        lookup = memory_append_at_once(memory, address, length, &buffers->readable);
    }
    if (lookup == found) return true;
    return buffers_add_elsewhere(buffers, memory, address, length, is_writable, head, violation);
}

// Whether the bytes to read and those to write can each be counted in 32 bits.
static inline bool buffers_are_countable(const struct buffers *buffers) {
    return (buffers->readable.bytes | buffers->writable.bytes) <= UINT32_MAX;
}

static inline uint16_t load16(const uint16_t *word) {
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline uint16_t acquire16(const uint16_t *word) {
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

#endif
