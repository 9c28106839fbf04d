#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
// Swift's own view of the C library has fd_set without this name for its bits; two definitions of
// one struct would not go together in one program.
#include <features.h>
#pragma push_macro("__USE_XOPEN")
#undef __USE_XOPEN
#include <sys/select.h>
#pragma pop_macro("__USE_XOPEN")
#include <liburing.h>
