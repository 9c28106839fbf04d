// With IN_ORDER, chains go back in the order they were taken in: what CompletionOrder keeps.
#ifndef CRING_ORDER_H
#define CRING_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct order {
    uint16_t *heads;
    uint64_t *written; // by head; with bit 32 set where done
    size_t first, end, mask;
};

static inline void order_take(struct order *order, uint16_t head) {
    order->heads[order->end++ & order->mask] = head;
}

static inline void order_finish(struct order *order, uint16_t head, uint32_t written) {
    order->written[head] = written | 1ull << 32;
}

// The next chain that may go back, if it is done.
static inline bool order_next(struct order *order, uint16_t *head, uint32_t *written) {
    if (order->first == order->end) return false;
    *head = order->heads[order->first & order->mask];
    uint64_t done = order->written[*head];
    if (!(done >> 32)) return false;
    *written = (uint32_t)done;
    order->written[*head] = 0;
    order->first++;
    return true;
}

#endif
