#define _GNU_SOURCE
#include "CStoreTrace.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#if defined(__x86_64__)
enum { RANGES = 4, TRAP_FLAG = 0x100 };

struct range {
    char *base;
    size_t bytes;
    char *copy;
};

static struct range ranges[RANGES];
static int count;
static long stores, stop_at;
static int is_copied, is_stepping;
static struct sigaction old_fault, old_trap;

static void protect(int access) {
    for (int i = 0; i < count; i++) mprotect(ranges[i].base, ranges[i].bytes, access);
}

static void on_fault(int number, siginfo_t *info, void *context) {
    (void)number;
    char *address = info->si_addr;
    for (int i = 0; i < count; i++) {
        if (address < ranges[i].base || address >= ranges[i].base + ranges[i].bytes) continue;
        protect(PROT_READ | PROT_WRITE);
        is_stepping = 1;
        ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
        return;
    }
    // Not ours: it happens again, and ends as it would have.
    sigaction(SIGSEGV, &old_fault, NULL);
}

static void on_step(int number, siginfo_t *info, void *context) {
    (void)number, (void)info;
    if (!is_stepping) {
        sigaction(SIGTRAP, &old_trap, NULL);
        return;
    }
    is_stepping = 0;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    stores++;
    if (stores == stop_at) {
        for (int i = 0; i < count; i++) memcpy(ranges[i].copy, ranges[i].base, ranges[i].bytes);
        is_copied = 1;
        return;
    }
    protect(PROT_READ);
}

int store_trace_reached(void) { return is_copied; }

int store_trace_works(void) { return 1; }

int store_trace_add(void *base, size_t bytes) {
    if (count == RANGES) return -1;
    ranges[count++] = (struct range){base, bytes, malloc(bytes)};
    return 0;
}

void store_trace_begin(long stop) {
    stores = 0;
    stop_at = stop;
    is_copied = is_stepping = 0;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_flags = SA_SIGINFO;
    action.sa_sigaction = on_fault;
    sigaction(SIGSEGV, &action, &old_fault);
    action.sa_sigaction = on_step;
    sigaction(SIGTRAP, &action, &old_trap);
    protect(PROT_READ);
}

long store_trace_end(void) {
    protect(PROT_READ | PROT_WRITE);
    sigaction(SIGSEGV, &old_fault, NULL);
    sigaction(SIGTRAP, &old_trap, NULL);
    return stores;
}

int store_trace_restore(void) {
    if (!is_copied) return -1;
    for (int i = 0; i < count; i++) memcpy(ranges[i].base, ranges[i].copy, ranges[i].bytes);
    return 0;
}

void store_trace_clear(void) {
    for (int i = 0; i < count; i++) free(ranges[i].copy);
    count = 0;
}
#else
int store_trace_works(void) { return 0; }
int store_trace_add(void *base, size_t bytes) { return 0; }
int store_trace_reached(void) { return 0; }
void store_trace_begin(long stop) {}
long store_trace_end(void) { return 0; }
int store_trace_restore(void) { return -1; }
void store_trace_clear(void) {}
#endif
