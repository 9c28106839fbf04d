// The device's side of a packed ring, in C: what PackedQueue does, step by step.
#ifndef CRING_PACKED_H
#define CRING_PACKED_H

#include "memory.h"
#include "order.h"

enum { flag_available = 1 << 7, flag_used = 1 << 15 };
enum { event_disable = 1, event_descriptor = 2, event_wrap = 1 << 15 };

struct packed_descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t id, flags;
};

struct position {
    uint16_t index;
    uint16_t round; // all ones where the wrap counter is 1, else 0
};

struct packed_queue {
    uint16_t size;
    bool event_index, is_in_order, is_broken;
    struct position available, used, published;
    uint16_t held_flags;
    size_t held, held_unpublished, in_flight;
    struct violation violation;
    uint8_t *descriptors;
    const uint32_t *driver_event;
    uint16_t *lengths; // by id: descriptors in flight, 0 for none
    uint64_t *table;
    struct order order;
};

static inline struct packed_descriptor packed_descriptor(uint64_t first, uint64_t second) {
    return (struct packed_descriptor){.address = first,
                                      .length = (uint32_t)second,
                                      .id = (uint16_t)(second >> 32),
                                      .flags = (uint16_t)(second >> 48)};
}

static inline void position_advance(struct position *position, uint16_t count, uint16_t size) {
    position->index += count;
    if (position->index < size) return;
    position->index -= size;
    position->round = (uint16_t)~position->round;
}

// Descriptors from one place to another, on the two rounds that wrap counters tell apart.
static inline uint32_t position_steps(struct position from, struct position to, uint16_t size) {
    uint32_t here = from.index + (from.round ? 0u : size);
    uint32_t there = to.index + (to.round ? 0u : size);
    return there >= here ? there - here : there + 2u * size - here;
}

static inline bool packed_fail(struct packed_queue *queue, struct violation violation) {
    queue->violation = violation;
    return false;
}

static inline uint16_t *packed_flags(struct packed_queue *queue, uint16_t index) {
    return (uint16_t *)(void *)(queue->descriptors + (size_t)index * 16 + 14);
}

static inline bool packed_is_available(const struct packed_queue *queue, uint16_t flags) {
    return ((flags ^ queue->available.round ^ flag_used) & (flag_available | flag_used)) == 0;
}

static inline bool packed_take_table(struct packed_queue *queue,
                                     struct packed_descriptor descriptor, struct memory *memory,
                                     struct buffers *buffers) {
    uint16_t head = descriptor.id;
    size_t count = copy_table(memory, descriptor.address, descriptor.length, head, queue->table,
                              &queue->violation);
    if (count == 0) return false;
    for (size_t index = 0; index < count; index++) {
        struct packed_descriptor entry =
            packed_descriptor(queue->table[index * 2], queue->table[index * 2 + 1]);
        if (entry.flags & flag_indirect)
            return packed_fail(queue, (struct violation){.kind = nested_indirect, .head = head});
        if (!buffers_add(buffers, memory, entry.address, entry.length, entry.flags & flag_write,
                         head, &queue->violation))
            return false;
    }
    return true;
}

// Walks the chain at `available`: its buffer id, and how many descriptors it takes.
static inline bool packed_take(struct packed_queue *queue, struct memory *memory,
                               struct buffers *buffers, uint16_t *id, uint16_t *taken) {
    uint16_t index = queue->available.index;
    for (uint16_t count = 1;; count++) {
        const uint64_t *words =
            (const uint64_t *)(const void *)(queue->descriptors + (size_t)index * 16);
        uint64_t first = __atomic_load_n(&words[0], __ATOMIC_RELAXED);
        uint64_t second = __atomic_load_n(&words[1], __ATOMIC_RELAXED);
        struct packed_descriptor descriptor = packed_descriptor(first, second);
        *id = descriptor.id;
        *taken = count;
        if (descriptor.flags & flag_indirect) {
            if (count != 1 || descriptor.flags & flag_next)
                return packed_fail(
                    queue, (struct violation){.kind = indirect_with_next, .head = descriptor.id});
            return packed_take_table(queue, descriptor, memory, buffers);
        }
        if (!buffers_add(buffers, memory, descriptor.address, descriptor.length,
                         descriptor.flags & flag_write, descriptor.id, &queue->violation))
            return false;
        if (!(descriptor.flags & flag_next)) return true;
        if (count >= queue->size - queue->held)
            return packed_fail(
                queue, (struct violation){.kind = chain_too_long, .head = descriptor.id});
        if (++index == queue->size) index = 0;
    }
}

static inline bool packed_admit(struct packed_queue *queue, uint16_t id, uint16_t count) {
    if (count > queue->size - queue->held)
        return packed_fail(queue, (struct violation){.kind = chain_too_long, .head = id});
    if (id >= queue->size)
        return packed_fail(queue, (struct violation){.kind = head_out_of_range, .head = id});
    if (queue->lengths[id] != 0)
        return packed_fail(queue, (struct violation){.kind = head_in_flight, .head = id});
    return true;
}

// Takes the next chain: its id, or -1 where there is none, or -2 where the driver broke the ring.
static inline int32_t packed_next(struct packed_queue *queue, struct memory *memory,
                                  struct buffers *buffers) {
    uint16_t flags = acquire16(packed_flags(queue, queue->available.index));
    if (!packed_is_available(queue, flags) || queue->is_broken) return -1;
    vectors_clear(&buffers->readable);
    vectors_clear(&buffers->writable);
    uint16_t id, count;
    bool taken =
        packed_take(queue, memory, buffers, &id, &count) && packed_admit(queue, id, count);
    if (taken && !buffers_are_countable(buffers))
        taken = packed_fail(queue, (struct violation){.kind = too_many_bytes, .head = id});
    if (!taken) {
        queue->is_broken = true;
        return -2;
    }
    queue->lengths[id] = count;
    queue->held += count;
    queue->in_flight++;
    position_advance(&queue->available, count, queue->size);
    if (queue->is_in_order) order_take(&queue->order, id);
    return id;
}

static inline void packed_give_back(struct packed_queue *queue, uint16_t id, uint32_t written) {
    uint16_t count = queue->lengths[id];
    queue->lengths[id] = 0;
    queue->in_flight--;
    uint8_t *entry = queue->descriptors + (size_t)queue->used.index * 16;
    __atomic_store_n((uint32_t *)(void *)(entry + 8), written, __ATOMIC_RELAXED);
    __atomic_store_n((uint16_t *)(void *)(entry + 12), id, __ATOMIC_RELAXED);
    uint16_t flags = queue->used.round & (flag_available | flag_used);
    if (written != 0) flags |= flag_write;
    if (queue->held_unpublished == 0) {
        queue->held_flags = flags;
    } else {
        __atomic_store_n(packed_flags(queue, queue->used.index), flags, __ATOMIC_RELAXED);
    }
    queue->held_unpublished += count;
    position_advance(&queue->used, count, queue->size);
}

static inline void packed_complete(struct packed_queue *queue, uint16_t id, uint32_t written) {
    if (!queue->is_in_order) {
        packed_give_back(queue, id, written);
        return;
    }
    order_finish(&queue->order, id, written);
    while (order_next(&queue->order, &id, &written)) packed_give_back(queue, id, written);
}

// Shows the driver what was completed. Returns whether it wants a call.
static inline bool packed_publish(struct packed_queue *queue) {
    if (queue->held_unpublished == 0) return false;
    queue->held -= queue->held_unpublished;
    queue->held_unpublished = 0;
    struct position old = queue->published;
    __atomic_store_n(packed_flags(queue, old.index), queue->held_flags, __ATOMIC_RELEASE);
    queue->published = queue->used;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    uint32_t event = __atomic_load_n(queue->driver_event, __ATOMIC_RELAXED);
    uint16_t place = (uint16_t)event, flags = (uint16_t)(event >> 16);
    if (flags == event_disable) return false;
    if (flags != event_descriptor || !queue->event_index) return true;
    struct position wanted = {.index = place & ~event_wrap, .round = place & event_wrap ? 0xffff : 0};
    if (wanted.index >= queue->size) return true;
    return position_steps(old, wanted, queue->size) <
           position_steps(old, queue->used, queue->size);
}

#endif
