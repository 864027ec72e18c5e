#define _GNU_SOURCE
#include "host/os_random.h"

#include <errno.h>
#include <sys/random.h>

#include "base/assert.h"

void dsmr_os_random(uint8_t *out, size_t len)
{
    while (len > 0) {
        ssize_t got = getrandom(out, len, 0);
        if (got < 0) {
            DSMR_ASSERT(errno == EINTR);
            continue;
        }
        out += got;
        len -= (size_t)got;
    }
}
