// What is measured: a breath of the device's side in C.
#include <stdlib.h>

#include "split.h"

struct ring_device {
    struct split_queue split;
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

struct ring_device *ring_device_create(int packed, const struct ring_guest *guest) {
    struct ring_device *device = allocate(1, sizeof *device);
    device->regions[0] = guest->regions[0];
    device->regions[1] = guest->regions[1];
    device->memory = (struct memory){.regions = device->regions, .count = 2};
    device->buffers = (struct buffers){.readable = make_vectors(), .writable = make_vectors()};
    uint8_t *base = guest->regions[0].host;
    uint16_t *available = (uint16_t *)(void *)(base + ring_driver_area);
    uint16_t *used = (uint16_t *)(void *)(base + ring_device_area);
    (void)packed;
    device->split = (struct split_queue){
        .size = ring_size,
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
    return device;
}

void ring_device_destroy(struct ring_device *device) {
    free(device->split.is_in_flight);
    free(device->split.table);
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
