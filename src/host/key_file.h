/* key_file.h - secrets of 32 bytes in files that only their owner can read.
 *
 * Format:     64 hex digits and a newline.
 * Invariants: a file that others may read or write, or that is not a plain file of this user, is
 *             refused; writing never replaces a file.
 * Threads:    any. */
#ifndef DSMR_HOST_KEY_FILE_H
#define DSMR_HOST_KEY_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "dsmr/err.h"

#define DSMR_KEY_FILE_SECRET_BYTES 32u
#define DSMR_KEY_FILE_REASON_BYTES 256u

/* On any error reason holds one sentence with the path. IO; CONFIG: permissions, owner, kind or
 * contents of the file. out is untouched on error; wipe it after use. */
DSMR_MUST_USE enum dsmr_err dsmr_key_file_read(uint8_t out[DSMR_KEY_FILE_SECRET_BYTES],
                                               char reason[DSMR_KEY_FILE_REASON_BYTES],
                                               const char *path);
/* Makes the file with mode 0600 and syncs it. DUPLICATE if it exists; DISK_FULL; IO. */
DSMR_MUST_USE enum dsmr_err dsmr_key_file_write(const uint8_t secret[DSMR_KEY_FILE_SECRET_BYTES],
                                                char reason[DSMR_KEY_FILE_REASON_BYTES],
                                                const char *path);

#endif
