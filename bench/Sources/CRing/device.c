// What is measured: a breath of the device's side in C.
#include <stdlib.h>

#include "packed.h"
#include "split.h"

struct ring_device {
    struct split_queue split;
    struct packed_queue packed;
    struct memory memory;
    struct buffers buffers;
    struct ring_region regions[2];
    uint64_t calls;
};

static void *allocate(size_t count, size_t bytes) {
    void *memory = calloc(count, bytes);
    if (!memory) abort();
    return memory;
}

static struct vectors make_vectors(void) {
    return (struct vectors){.base = allocate(buffer_capacity, sizeof(struct iovec)),
                            .capacity = buffer_capacity};
}

static struct split_queue make_split(uint8_t *base) {
    uint16_t *available = (uint16_t *)(void *)(base + ring_driver_area);
    uint16_t *used = (uint16_t *)(void *)(base + ring_device_area);
    return (struct split_queue){
        .size = ring_size,
        .mask = ring_size - 1,
        .event_index = true,
        .descriptors = (const uint64_t *)(const void *)(base + ring_descriptors),
        .available_flags = &available[0],
        .available_index = &available[1],
        .available_ring = &available[2],
        .used_event = &available[2 + ring_size],
        .used_index = &used[1],
        .used_ring = (uint32_t *)(void *)&used[2],
        .is_in_flight = allocate(ring_size, sizeof(bool)),
        .table = allocate(table_capacity, 16),
    };
}

static struct packed_queue make_packed(uint8_t *base) {
    struct position start = {.index = 0, .round = 0xffff};
    return (struct packed_queue){
        .size = ring_size,
        .event_index = true,
        .available = start,
        .used = start,
        .published = start,
        .descriptors = base + ring_descriptors,
        .driver_event = (const uint32_t *)(const void *)(base + ring_driver_area),
        .lengths = allocate(ring_size, sizeof(uint16_t)),
        .table = allocate(table_capacity, 16),
    };
}

struct ring_device *ring_device_create(int packed, const struct ring_guest *guest) {
    struct ring_device *device = allocate(1, sizeof *device);
    device->regions[0] = guest->regions[0];
    device->regions[1] = guest->regions[1];
    device->memory = (struct memory){.regions = device->regions, .count = 2};
    device->buffers = (struct buffers){.readable = make_vectors(), .writable = make_vectors()};
    if (packed) device->packed = make_packed(guest->regions[0].host);
    else device->split = make_split(guest->regions[0].host);
    return device;
}

void ring_device_destroy(struct ring_device *device) {
    free(device->split.is_in_flight);
    free(device->split.table);
    free(device->packed.lengths);
    free(device->packed.table);
    free(device->buffers.readable.base);
    free(device->buffers.writable.base);
    free(device);
}

long ring_breathe_split(struct ring_device *device) {
    long count = 0;
    int32_t head;
    while ((head = split_next(&device->split, &device->memory, &device->buffers)) >= 0) {
        split_complete(&device->split, (uint16_t)head, (uint32_t)device->buffers.writable.bytes);
        count++;
    }
    if (head == -2) return -1;
    if (split_publish(&device->split)) device->calls++;
    return count;
}

long ring_breathe_packed(struct ring_device *device) {
    long count = 0;
    int32_t id;
    while ((id = packed_next(&device->packed, &device->memory, &device->buffers)) >= 0) {
        packed_complete(&device->packed, (uint16_t)id, (uint32_t)device->buffers.writable.bytes);
        count++;
    }
    if (id == -2) return -1;
    if (packed_publish(&device->packed)) device->calls++;
    return count;
}
