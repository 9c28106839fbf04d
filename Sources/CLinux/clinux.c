// What must not stand in the header: <sys/resource.h> looks another way with _GNU_SOURCE than in
// Swift's own view of the C library, and one program can't have both.
#include "CLinux.h"

#include <sys/resource.h>

void clinux_raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}
