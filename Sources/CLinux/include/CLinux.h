// What Swift's Glibc module does not carry: GNU-only headers, macros, variadic calls.
// Static inline functions without logic; only guard.c, a signal handler, keeps state.
#ifndef RINGWAY_CLINUX_H
#define RINGWAY_CLINUX_H

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
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

// RWF_DSYNC, which two headers define.
static const int clinux_write_durably = RWF_DSYNC;

// The most descriptors one sendmsg may carry (SCM_MAX_FD in the kernel).
#define CLINUX_SCM_MAX 253

// Guards against SIGBUS, see guard.c. Lengths and pages in bytes.
int clinux_catch_bus_errors(void);
// Returns a slot, or -1 where all are taken.
int clinux_guard(void *base, size_t length, size_t page);
void clinux_unguard(int slot);
// How often pages of this mapping were found missing, and those of all mappings together.
uint32_t clinux_guard_faults(int slot);
uint64_t clinux_bus_faults(void);

// sendmsg with descriptors attached to the first byte. Returns bytes sent or -errno.
static inline ssize_t clinux_send(int socket, const void *bytes, size_t count,
                                  const int *descriptors, int descriptor_count) {
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int) * CLINUX_SCM_MAX)];
    } control;
    struct iovec vector = {.iov_base = (void *)bytes, .iov_len = count};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (descriptor_count < 0 || descriptor_count > CLINUX_SCM_MAX) return -EINVAL;
    if (descriptor_count > 0) {
        size_t length = sizeof(int) * (size_t)descriptor_count;
        memset(&control, 0, sizeof control);
        message.msg_control = control.space;
        message.msg_controllen = CMSG_SPACE(length);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(length);
        memcpy(CMSG_DATA(header), descriptors, length);
    }
    // Whoever has the same socket may have made it blocking.
    ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 ? -errno : sent;
}

// recvmsg that never blocks. Descriptors beyond `capacity` are closed here and still counted in
// `*received`, so a caller sees that there were too many. Returns bytes, 0 at end, or -errno.
static inline ssize_t clinux_receive(int socket, void *bytes, size_t count, int *descriptors,
                                     int capacity, int *received) {
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int) * CLINUX_SCM_MAX)];
    } control;
    struct iovec vector = {.iov_base = bytes, .iov_len = count};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = sizeof control.space};
    *received = 0;
    ssize_t got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0) return -errno;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header;
         header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int descriptor;
            memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
            if (*received < capacity) descriptors[*received] = descriptor;
            else close(descriptor);
            *received += 1;
        }
    }
    // The kernel dropped some for want of room or of free descriptors: say "too many" either way.
    if (message.msg_flags & MSG_CTRUNC) *received = CLINUX_SCM_MAX + 1;
    return got;
}

// errno is a macro, and these three take a transparent union that Swift does not import.
static inline int clinux_errno(void) { return errno; }

static inline int clinux_connect(int fd, const struct sockaddr_un *address, socklen_t length) {
    return connect(fd, (const struct sockaddr *)address, length) < 0 ? -errno : 0;
}

static inline int clinux_bind(int fd, const struct sockaddr_un *address, socklen_t length) {
    return bind(fd, (const struct sockaddr *)address, length) < 0 ? -errno : 0;
}

// The address of a socket, or of its peer. Returns its bytes, or -errno.
static inline ssize_t clinux_socket_name(int fd, int peer, void *bytes, size_t capacity) {
    socklen_t length = (socklen_t)capacity;
    int result = peer ? getpeername(fd, (struct sockaddr *)bytes, &length)
                      : getsockname(fd, (struct sockaddr *)bytes, &length);
    if (result < 0) return -errno;
    return length < capacity ? (ssize_t)length : (ssize_t)capacity;
}

// Gives a Unix socket that has no address one of the kernel's choice.
static inline int clinux_name_socket(int fd) {
    sa_family_t family = AF_UNIX;
    return bind(fd, (const struct sockaddr *)&family, sizeof family) < 0 ? -errno : 0;
}

static inline ssize_t clinux_send_to(int fd, const void *bytes, size_t count,
                                     const struct sockaddr_un *address, socklen_t length) {
    ssize_t sent = sendto(fd, bytes, count, MSG_NOSIGNAL, (const struct sockaddr *)address, length);
    return sent < 0 ? -errno : sent;
}

// Whether a descriptor is a Unix stream socket that listens (1), or is connected (2); 0 for others.
static inline int clinux_unix_stream(int fd) {
    int domain = 0, type = 0, listening = 0;
    socklen_t length = sizeof(int);
    struct sockaddr_un peer;
    socklen_t peer_length = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0 || domain != AF_UNIX) return 0;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 || type != SOCK_STREAM) return 0;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) < 0) return 0;
    if (listening) return 1;
    return getpeername(fd, (struct sockaddr *)&peer, &peer_length) == 0 ? 2 : 0;
}

void clinux_raise_descriptor_limit(void);

static inline int clinux_may_run_on(int cpu) {
    cpu_set_t set;
    if (cpu < 0 || cpu >= CPU_SETSIZE) return 0;
    return sched_getaffinity(0, sizeof set, &set) == 0 && CPU_ISSET(cpu, &set);
}

static inline int clinux_accept(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

static inline int clinux_pin_thread(const int *cpus, int count) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int i = 0; i < count; i++) {
        if (cpus[i] < 0 || cpus[i] >= CPU_SETSIZE) return -EINVAL;
        CPU_SET(cpus[i], &set);
    }
    return -pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

static inline void clinux_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

static inline void clinux_ignore_sigpipe(void) { signal(SIGPIPE, SIG_IGN); }

static inline int clinux_block_device_size(int fd, uint64_t *bytes) {
    return ioctl(fd, BLKGETSIZE64, bytes) < 0 ? -errno : 0;
}

static inline int clinux_block_device_sector(int fd, int *bytes) {
    return ioctl(fd, BLKSSZGET, bytes) < 0 ? -errno : 0;
}

// An open-file-description lock on the whole file; `type` is F_RDLCK or F_WRLCK.
static inline int clinux_lock_file(int fd, short type) {
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET};
    return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

static inline int clinux_set_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return -errno;
    return 0;
}

static inline int clinux_set_blocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0) return -errno;
    return 0;
}

static inline int clinux_set_cloexec(int fd) {
    return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
}

static inline int clinux_duplicate(int fd) {
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return copy < 0 ? -errno : copy;
}

static inline int clinux_forbid_shrinking(int fd) {
    return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0 ? -errno : 0;
}

static inline int clinux_mapping_failed(const void *base) { return base == MAP_FAILED; }

// Reads without ever waiting, whatever the descriptor's own mode says.
static inline ssize_t clinux_read_now(int fd, void *bytes, size_t count) {
    struct iovec vector = {.iov_base = bytes, .iov_len = count};
    ssize_t got = preadv2(fd, &vector, 1, -1, RWF_NOWAIT);
    if (got < 0 && errno == EOPNOTSUPP) {
        // Pipes and sockets of older kernels. Nobody but us reads here, so what poll sees stays.
        struct pollfd entry = {.fd = fd, .events = POLLIN};
        if (poll(&entry, 1, 0) <= 0) return -EAGAIN;
        got = read(fd, bytes, count);
    }
    return got < 0 ? -errno : got;
}

// Positioned reads and writes of several buffers. Bytes or -errno.
static inline ssize_t clinux_read_vectors(int fd, const struct iovec *vectors, int count,
                                          off_t offset, int only_cached) {
    ssize_t got = preadv2(fd, vectors, count, offset, only_cached ? RWF_NOWAIT : 0);
    return got < 0 ? -errno : got;
}

static inline ssize_t clinux_write_vectors(int fd, const struct iovec *vectors, int count,
                                           off_t offset) {
    ssize_t put = pwritev2(fd, vectors, count, offset, 0);
    return put < 0 ? -errno : put;
}

// One packet, or as much of a stream as goes. Bytes or -errno.
static inline ssize_t clinux_read_packet(int fd, const struct iovec *vectors, int count) {
    ssize_t got = readv(fd, vectors, count);
    return got < 0 ? -errno : got;
}

static inline ssize_t clinux_write_packet(int fd, const struct iovec *vectors, int count) {
    ssize_t put = writev(fd, vectors, count);
    return put < 0 ? -errno : put;
}

static inline ssize_t clinux_send_vectors(int socket, struct iovec *vectors, size_t count) {
    struct msghdr message = {.msg_iov = vectors, .msg_iovlen = count};
    ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 ? -errno : sent;
}

static inline ssize_t clinux_receive_bytes(int socket, void *bytes, size_t count) {
    ssize_t got = recv(socket, bytes, count, MSG_DONTWAIT);
    return got < 0 ? -errno : got;
}

// `copy` becomes another number for what `fd` is; what it was before is closed.
static inline int clinux_replace(int fd, int copy) {
    return dup3(fd, copy, O_CLOEXEC) < 0 ? -errno : 0;
}

// tmpfs and ramfs.
static inline int clinux_is_in_memory(int fd) {
    struct statfs system;
    if (fstatfs(fd, &system) < 0) return 0;
    return system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC;
}

static inline int clinux_is_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_NONBLOCK) != 0;
}

// Eventfds and their like have no file type at all; pipes will do. No sockets: one could be the
// other end of the connection that it came by, and keep that from ever ending.
static inline int clinux_carries_events(int fd) {
    struct stat status;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || (flags & O_PATH) || fstat(fd, &status) < 0) return 0;
    mode_t type = status.st_mode & S_IFMT;
    return type == 0 || type == S_IFIFO;
}

// A socket that is readable after a change to a network interface of the thread's namespace, or
// -errno.
static inline int clinux_watch_interfaces(void) {
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd < 0) return -errno;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    int code = errno;
    close(fd);
    return -code;
}

// Takes every message that is there, and the word that some were lost, of a socket of our own.
static inline void clinux_drain(int fd) {
    char bytes[64];
    while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_TRUNC) >= 0 || errno == ENOBUFS ||
           errno == EINTR) continue;
}

static inline int clinux_open(const char *path, int flags, mode_t mode) {
    int fd = open(path, flags | O_CLOEXEC, mode);
    return fd < 0 ? -errno : fd;
}

// What direct I/O asks of a file: alignment of memory and of offsets, 0 where unknown.
static inline void clinux_direct_alignment(int fd, uint32_t *memory, uint32_t *offset) {
    *memory = 0;
    *offset = 0;
#ifdef STATX_DIOALIGN
    struct statx status;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 &&
        (status.stx_mask & STATX_DIOALIGN)) {
        *memory = status.stx_dio_mem_align;
        *offset = status.stx_dio_offset_align;
    }
#endif
}

#endif
