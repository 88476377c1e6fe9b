/* mem/bytering_map.c: mirrored byte rings: the part that needs an operating system. */
#include "mem/bytering.h"
#include "base/err.h"
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

int xw_bytering_map(struct xw_bytering *r, uint32_t cap) {
    *r = (struct xw_bytering){ 0 };
    if (!cap || (cap & (cap - 1)) || cap % (uint32_t)sysconf(_SC_PAGESIZE))
        return XW_EINVAL;
    int rc = XW_ENOMEM, saved;
    int fd = memfd_create("xdpws-ring", MFD_CLOEXEC);
    if (fd < 0)
        return rc;
    uint8_t *base = MAP_FAILED;
    if (ftruncate(fd, cap))
        goto err_close;
    base = mmap(NULL, (size_t)cap * 2, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        goto err_close;
    for (unsigned half = 0; half < 2; half++)
        if (mmap(base + (size_t)half * cap, cap, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
            goto err_unmap;
    close(fd);
    *r = (struct xw_bytering){ .base = base, .cap = cap, .mirrored = true };
    return XW_OK;
err_unmap:
    saved = errno;
    munmap(base, (size_t)cap * 2);
    errno = saved;
err_close:
    saved = errno;
    close(fd);
    errno = saved;
    return rc;
}

void xw_bytering_unmap(struct xw_bytering *r) {
    if (r->mirrored)
        munmap(r->base, (size_t)r->cap * 2);
    *r = (struct xw_bytering){ 0 };
}
