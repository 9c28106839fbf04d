// The device's side of a split ring, in C: what SplitQueue does, step by step.
#ifndef CRING_SPLIT_H
#define CRING_SPLIT_H

#include "memory.h"
#include "order.h"

struct split_descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags, next;
};

struct split_queue {
    uint16_t size;
    size_t mask;
    bool event_index, is_in_order, is_broken;
    uint16_t next, seen, used, published;
    size_t in_flight;
    struct violation violation;
    const uint64_t *descriptors;
    const uint16_t *available_flags, *available_index, *available_ring, *used_event;
    uint16_t *used_index;
    uint32_t *used_ring;
    bool *is_in_flight;
    uint64_t *table;
    struct order order;
};

static inline struct split_descriptor split_descriptor(uint64_t first, uint64_t second) {
    return (struct split_descriptor){.address = first,
                                     .length = (uint32_t)second,
                                     .flags = (uint16_t)(second >> 32),
                                     .next = (uint16_t)(second >> 48)};
}

static inline bool split_fail(struct split_queue *queue, struct violation violation) {
    queue->violation = violation;
    return false;
}

// 1 where the driver has made more available, 0 where not, -1 where it broke the ring.
static inline int split_look(struct split_queue *queue) {
    uint16_t index = acquire16(queue->available_index);
    uint16_t ahead = index - queue->next;
    if (ahead == 0 || queue->is_broken) return 0;
    if (ahead > queue->size) {
        split_fail(queue, (struct violation){.kind = index_jump, .next = ahead});
        queue->is_broken = true;
        return -1;
    }
    queue->seen = index;
    return 1;
}

static inline bool split_take_table(struct split_queue *queue, struct split_descriptor descriptor,
                                    uint16_t head, struct memory *memory,
                                    struct buffers *buffers) {
    if (descriptor.flags & flag_next)
        return split_fail(queue, (struct violation){.kind = indirect_with_next, .head = head});
    size_t count = copy_table(memory, descriptor.address, descriptor.length, head, queue->table,
                              &queue->violation);
    if (count == 0) return false;
    size_t index = 0;
    for (size_t step = 0; step < count; step++) {
        struct split_descriptor entry =
            split_descriptor(queue->table[index * 2], queue->table[index * 2 + 1]);
        if (entry.flags & flag_indirect)
            return split_fail(queue, (struct violation){.kind = nested_indirect, .head = head});
        if (!buffers_add(buffers, memory, entry.address, entry.length, entry.flags & flag_write,
                         head, &queue->violation))
            return false;
        if (!(entry.flags & flag_next)) return true;
        index = entry.next;
        if (index >= count)
            return split_fail(queue, (struct violation){
                                         .kind = next_out_of_range, .head = head, .next = entry.next});
    }
    return split_fail(queue, (struct violation){.kind = chain_too_long, .head = head});
}

static inline bool split_take(struct split_queue *queue, uint16_t head, struct memory *memory,
                              struct buffers *buffers) {
    if (head >= queue->size)
        return split_fail(queue, (struct violation){.kind = head_out_of_range, .head = head});
    if (queue->is_in_flight[head])
        return split_fail(queue, (struct violation){.kind = head_in_flight, .head = head});
    uint16_t index = head;
    for (uint16_t step = 0; step < queue->size; step++) {
        if (index >= queue->size)
            return split_fail(
                queue, (struct violation){.kind = next_out_of_range, .head = head, .next = index});
        const uint64_t *words = &queue->descriptors[(size_t)index * 2];
        uint64_t first = __atomic_load_n(&words[0], __ATOMIC_RELAXED);
        uint64_t second = __atomic_load_n(&words[1], __ATOMIC_RELAXED);
        struct split_descriptor descriptor = split_descriptor(first, second);
        if (descriptor.flags & flag_indirect)
            return split_take_table(queue, descriptor, head, memory, buffers);
        if (!buffers_add(buffers, memory, descriptor.address, descriptor.length,
                         descriptor.flags & flag_write, head, &queue->violation))
            return false;
        if (!(descriptor.flags & flag_next)) return true;
        index = descriptor.next;
    }
    return split_fail(queue, (struct violation){.kind = chain_too_long, .head = head});
}

// Takes the next chain: its head, or -1 where there is none, or -2 where the driver broke the ring.
static inline int32_t split_next(struct split_queue *queue, struct memory *memory,
                                 struct buffers *buffers) {
    if (queue->seen == queue->next) {
        int result = split_look(queue);
        if (result <= 0) return result - 1;
    }
    if (queue->is_broken) return -1;
    uint16_t head = load16(&queue->available_ring[queue->next & queue->mask]);
    vectors_clear(&buffers->readable);
    vectors_clear(&buffers->writable);
    bool taken = split_take(queue, head, memory, buffers);
    if (taken && !buffers_are_countable(buffers))
        taken = split_fail(queue, (struct violation){.kind = too_many_bytes, .head = head});
    if (!taken) {
        queue->is_broken = true;
        return -2;
    }
    queue->next++;
    queue->is_in_flight[head] = true;
    queue->in_flight++;
    if (queue->is_in_order) order_take(&queue->order, head);
    return head;
}

static inline void split_give_back(struct split_queue *queue, uint16_t head, uint32_t written) {
    queue->is_in_flight[head] = false;
    queue->in_flight--;
    uint32_t *entry = &queue->used_ring[(queue->used & queue->mask) * 2];
    __atomic_store_n(&entry[0], head, __ATOMIC_RELAXED);
    __atomic_store_n(&entry[1], written, __ATOMIC_RELAXED);
    queue->used++;
}

static inline void split_complete(struct split_queue *queue, uint16_t head, uint32_t written) {
    if (!queue->is_in_order) {
        split_give_back(queue, head, written);
        return;
    }
    order_finish(&queue->order, head, written);
    while (order_next(&queue->order, &head, &written)) split_give_back(queue, head, written);
}

// Shows the driver what was completed. Returns whether it wants a call.
static inline bool split_publish(struct split_queue *queue) {
    if (queue->used == queue->published) return false;
    uint16_t old = queue->published;
    __atomic_store_n(queue->used_index, queue->used, __ATOMIC_RELEASE);
    queue->published = queue->used;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!queue->event_index) return (load16(queue->available_flags) & 1) == 0;
    return (uint16_t)(queue->used - load16(queue->used_event) - 1) < (uint16_t)(queue->used - old);
}

#endif
