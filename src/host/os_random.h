/* os_random.h - random bytes of the operating system: keys, batch coefficients, seeds.
 *
 * Threads: any. */
#ifndef DSMR_HOST_OS_RANDOM_H
#define DSMR_HOST_OS_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills out; may wait early at boot until the kernel's pool is ready. Aborts if the kernel has
 * none to give: nothing that needs them can go on safely. */
void dsmr_os_random(uint8_t *out, size_t len);

#endif
