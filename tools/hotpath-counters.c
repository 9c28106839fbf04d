// Counts calls that a hot path must not make, in a program that this library is preloaded into: on
// its workers' threads alone, which are those named "ringway ...". See tools/hotpath.
//
// Counts and the places that calls came from are kept in a file, named by RINGWAY_HOTPATH_FILE and
// mapped here, so that they can be read at any time without the program's help.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef __x86_64__
#error "the counters are written for x86-64"
#endif

// What is counted. The two after the mutexes are the slow halves of Swift's own: without contention
// a Swift Mutex is one atomic instruction in the caller, which no library can see.
#define COUNTED(X)                                                                                 \
    X(malloc) X(calloc) X(realloc) X(free) X(posix_memalign) X(aligned_alloc) X(memalign)          \
    X(mmap) X(munmap)                                                                              \
    X(pthread_mutex_lock) X(pthread_mutex_trylock) X(pthread_rwlock_rdlock)                        \
    X(pthread_rwlock_wrlock)                                                                       \
    X($s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF)                                    \
    X($s15Synchronization12_MutexHandleV11_unlockSlowyyF)                                          \
    X(swift_retain) X(swift_retain_n) X(swift_release) X(swift_release_n)                          \
    X(swift_bridgeObjectRetain) X(swift_bridgeObjectRetain_n)                                      \
    X(swift_bridgeObjectRelease) X(swift_bridgeObjectRelease_n)                                    \
    X(swift_unknownObjectRetain) X(swift_unknownObjectRetain_n)                                    \
    X(swift_unknownObjectRelease) X(swift_unknownObjectRelease_n)                                  \
    X(swift_nonatomic_retain) X(swift_nonatomic_release)                                           \
    X(swift_weakLoadStrong) X(swift_unownedRetainStrong)                                           \
    X(swift_allocObject) X(swift_allocBox) X(swift_allocError) X(swift_slowAlloc)                  \
    X(swift_slowAllocTyped) X(swift_deallocObject) X(swift_deallocClassInstance)                   \
    X(swift_slowDealloc) X(swift_task_alloc)                                                       \
    X(swift_arrayInitWithCopy) X(swift_arrayAssignWithCopyNoAlias) X(swift_arrayDestroy)           \
    X(swift_isUniquelyReferenced_nonNull_native)                                                   \
    X(swift_beginAccess) X(swift_once)                                                             \
    X(swift_getWitnessTable) X(swift_getGenericMetadata) X(swift_checkMetadataState)               \
    X(swift_getTypeByMangledNameInContext2)                                                        \
    X(swift_getTypeByMangledNameInContextInMetadataState2)                                         \
    X(swift_getAssociatedTypeWitness) X(swift_getAssociatedConformanceWitness)                     \
    X(swift_conformsToProtocol) X(swift_dynamicCast) X(swift_dynamicCastClass)                     \
    X(swift_willThrow) X(swift_willThrowTypedImpl)

#define NUMBER(symbol) number_##symbol,
enum { COUNTED(NUMBER) counted };

struct row {
    char name[88];
    uint64_t count;
};
struct site {
    uint64_t key; // 0: free
    uint64_t number, caller, outer, count;
};
enum { sites = 4096 };
struct report {
    uint64_t rows, sites;
    struct row row[counted];
    struct site site[sites];
};

static struct report unmapped;
static struct report *report = &unmapped;
static __thread int is_worker __attribute__((tls_model("initial-exec")));

// The C library's own, under the names that need no look-up: what looks up may allocate.
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static void *real[counted] = {
    [number_malloc] = (void *)__libc_malloc,
    [number_calloc] = (void *)__libc_calloc,
    [number_realloc] = (void *)__libc_realloc,
    [number_free] = (void *)__libc_free,
    [number_memalign] = (void *)__libc_memalign,
    [number_aligned_alloc] = (void *)__libc_memalign,
};

#define NAME(symbol) #symbol,
static const char *const names[counted] = {COUNTED(NAME)};

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("RINGWAY_HOTPATH_FILE");
    if (!path) return;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(struct report)) < 0) abort();
    struct report *mapped =
        mmap(NULL, sizeof(struct report), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) abort();
    close(fd);
    mapped->sites = sites;
    for (int i = 0; i < counted; i++) strncpy(mapped->row[i].name, names[i], 87);
    __atomic_store_n(&mapped->rows, counted, __ATOMIC_RELEASE);
    report = mapped;
}

static void count_site(uint64_t number, uint64_t caller, uint64_t outer) {
    uint64_t key = ((number + 1) << 48) ^ caller ^ (outer << 1);
    uint64_t place = key * 0x9e3779b97f4a7c15u >> 52;
    for (int i = 0; i < sites; i++) {
        struct site *site = &report->site[(place + (uint64_t)i) % sites];
        uint64_t found = 0;
        if (__atomic_compare_exchange_n(&site->key, &found, key, 0, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
            site->number = number;
            site->caller = caller;
            site->outer = outer;
        } else if (found != key) {
            continue;
        }
        __atomic_fetch_add(&site->count, 1, __ATOMIC_RELAXED);
        return;
    }
}

// Called by every counted symbol: counts, and says where the real function is. `frame` is the
// caller's frame pointer, and is believed where it points a little up the stack.
__attribute__((used, visibility("hidden"))) void *hotpath_count(uint64_t number, uint64_t caller,
                                                                const uint64_t *frame) {
    if (is_worker) {
        uint64_t here = (uint64_t)__builtin_frame_address(0);
        uint64_t far = (uint64_t)frame - here;
        __atomic_fetch_add(&report->row[number].count, 1, __ATOMIC_RELAXED);
        count_site(number, caller, far < 1 << 14 && far % 8 == 0 ? frame[1] : 0);
    }
    void *target = __atomic_load_n(&real[number], __ATOMIC_RELAXED);
    if (!target) {
        target = dlsym(RTLD_NEXT, names[number]);
        if (!target) abort();
        __atomic_store_n(&real[number], target, __ATOMIC_RELAXED);
    }
    return target;
}

// Each counted symbol: keeps every register that may carry something, whatever the calling
// convention (swift_retain's preserves most of them), and goes on in the real function.
#define STRING(x) #x
#define STAND_IN(symbol)                                                                           \
    __asm__(".globl \"" STRING(symbol) "\"\n.type \"" STRING(symbol) "\",@function\n"             \
            "\"" STRING(symbol) "\": pushq number_at_" STRING(symbol) "(%rip)\n"                   \
            "jmp hotpath_stand_in\n");
#define NUMBER_AT(symbol)                                                                          \
    __attribute__((used, visibility("hidden"))) const uint64_t number_at_##symbol = number_##symbol;
COUNTED(NUMBER_AT)
COUNTED(STAND_IN)

__asm__("hotpath_stand_in:\n"
        "push %rax\npush %rcx\npush %rdx\npush %rsi\npush %rdi\n"
        "push %r8\npush %r9\npush %r10\npush %r11\n"
        "sub $136, %rsp\n"
        "movups %xmm0, (%rsp)\nmovups %xmm1, 16(%rsp)\nmovups %xmm2, 32(%rsp)\n"
        "movups %xmm3, 48(%rsp)\nmovups %xmm4, 64(%rsp)\nmovups %xmm5, 80(%rsp)\n"
        "movups %xmm6, 96(%rsp)\nmovups %xmm7, 112(%rsp)\n"
        "mov 208(%rsp), %rdi\nmov 216(%rsp), %rsi\nmov %rbp, %rdx\n"
        "call hotpath_count\n"
        "mov %rax, 208(%rsp)\n"
        "movups (%rsp), %xmm0\nmovups 16(%rsp), %xmm1\nmovups 32(%rsp), %xmm2\n"
        "movups 48(%rsp), %xmm3\nmovups 64(%rsp), %xmm4\nmovups 80(%rsp), %xmm5\n"
        "movups 96(%rsp), %xmm6\nmovups 112(%rsp), %xmm7\n"
        "add $136, %rsp\n"
        "pop %r11\npop %r10\npop %r9\npop %r8\n"
        "pop %rdi\npop %rsi\npop %rdx\npop %rcx\npop %rax\n"
        // The real function's address lies where the number was.
        "ret\n");

// A thread says by its name what it is.
int pthread_setname_np(pthread_t thread, const char *name) {
    static int (*next)(pthread_t, const char *);
    if (!next) next = (int (*)(pthread_t, const char *))dlsym(RTLD_NEXT, "pthread_setname_np");
    if (pthread_equal(thread, pthread_self())) is_worker = strncmp(name, "ringway ", 8) == 0;
    return next(thread, name);
}
