// Memory that others can take away: a front-end that shortens the file behind its guest's memory
// makes every touch of the lost pages a SIGBUS. Here that costs zero pages in the lost place, not
// the process. The one file of this room that keeps state, because a signal handler has no other
// way to find any.
#include "CLinux.h"

#include <stdatomic.h>

#define GUARDS 4096

struct guard {
    _Atomic(uintptr_t) base;   // 0: free; 1: being filled in
    _Atomic(size_t) length;
    _Atomic(size_t) page;
    _Atomic(uint32_t) faults;
};

static struct guard guards[GUARDS];
static _Atomic(uint64_t) all_faults;
static struct sigaction previous;

static void on_bus_error(int number, siginfo_t *info, void *context) {
    (void)number;
    (void)context;
    int saved = errno;
    uintptr_t address = (uintptr_t)info->si_addr;
    for (int i = 0; i < GUARDS; i++) {
        uintptr_t base = atomic_load(&guards[i].base);
        size_t length = atomic_load(&guards[i].length);
        if (base <= 1 || address - base >= length) continue;
        size_t page = atomic_load(&guards[i].page);
        uintptr_t start = base + (address - base) / page * page;
        void *fresh = mmap((void *)start, base + length - start, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
        if (fresh == MAP_FAILED) break;
        atomic_fetch_add(&guards[i].faults, 1);
        atomic_fetch_add(&all_faults, 1);
        errno = saved;
        return;
    }
    // Not ours: the next try at the same instruction ends as it would have without us.
    sigaction(SIGBUS, &previous, NULL);
    errno = saved;
}

int clinux_catch_bus_errors(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    return sigaction(SIGBUS, &action, &previous) < 0 ? -errno : 0;
}

int clinux_guard(void *base, size_t length, size_t page) {
    for (int i = 0; i < GUARDS; i++) {
        uintptr_t expected = 0;
        if (!atomic_compare_exchange_strong(&guards[i].base, &expected, 1)) continue;
        atomic_store(&guards[i].length, length);
        atomic_store(&guards[i].page, page);
        atomic_store(&guards[i].faults, 0);
        atomic_store(&guards[i].base, (uintptr_t)base);
        return i;
    }
    return -1;
}

void clinux_unguard(int slot) { atomic_store(&guards[slot].base, 0); }

uint32_t clinux_guard_faults(int slot) { return atomic_load(&guards[slot].faults); }

uint64_t clinux_bus_faults(void) {
    return atomic_load_explicit(&all_faults, memory_order_relaxed);
}
