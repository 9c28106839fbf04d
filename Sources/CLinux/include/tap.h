// TAP devices (linux/if_tun.h) and the interfaces they are: ioctls, each 0 or -errno.
#ifndef RINGWAY_CLINUX_TAP_H
#define RINGWAY_CLINUX_TAP_H

#include <errno.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>

// Linux 6.2's; the headers that we are built with may be older than the kernel that we run on.
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

// `name` is IFNAMSIZ bytes with a zero at the end: the device asked for, then the one we got.
static inline int clinux_tap_join(int fd, char *name, short flags) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, name, IFNAMSIZ);
    request.ifr_flags = flags;
    if (ioctl(fd, TUNSETIFF, &request) < 0) return -errno;
    memcpy(name, request.ifr_name, IFNAMSIZ);
    return 0;
}

// Which device a descriptor belongs to, and the flags it was joined with.
static inline int clinux_tap_device(int fd, char *name, short *flags) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    if (ioctl(fd, TUNGETIFF, &request) < 0) return -errno;
    memcpy(name, request.ifr_name, IFNAMSIZ);
    *flags = request.ifr_flags;
    return 0;
}

static inline int clinux_tap_set_header(int fd, int bytes) {
    return ioctl(fd, TUNSETVNETHDRSZ, &bytes) < 0 ? -errno : 0;
}

static inline int clinux_tap_set_offload(int fd, unsigned flags) {
    return ioctl(fd, TUNSETOFFLOAD, (unsigned long)flags) < 0 ? -errno : 0;
}

// `flag` is IFF_ATTACH_QUEUE or IFF_DETACH_QUEUE.
static inline int clinux_tap_set_queue(int fd, short flag) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    request.ifr_flags = flag;
    return ioctl(fd, TUNSETQUEUE, &request) < 0 ? -errno : 0;
}

// The rest go through any socket of the interface's network namespace.
static inline int clinux_interface_flags(int socket, const char *name, short *flags) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, name, IFNAMSIZ);
    if (ioctl(socket, SIOCGIFFLAGS, &request) < 0) return -errno;
    *flags = request.ifr_flags;
    return 0;
}

static inline int clinux_interface_set_flags(int socket, const char *name, short flags) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, name, IFNAMSIZ);
    request.ifr_flags = flags;
    return ioctl(socket, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
}

static inline int clinux_interface_mtu(int socket, const char *name, int *bytes) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, name, IFNAMSIZ);
    if (ioctl(socket, SIOCGIFMTU, &request) < 0) return -errno;
    *bytes = request.ifr_mtu;
    return 0;
}

static inline int clinux_interface_set_mtu(int socket, const char *name, int bytes) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, name, IFNAMSIZ);
    request.ifr_mtu = bytes;
    return ioctl(socket, SIOCSIFMTU, &request) < 0 ? -errno : 0;
}

#endif
