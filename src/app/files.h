/* files.h - whole files and folders for the programs. errno tells why after IO. */
#ifndef DSMR_APP_FILES_H
#define DSMR_APP_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "dsmr/err.h"

/* Reads a whole file and adds a zero byte (not in *len). IO, TOO_LARGE, NO_MEMORY. Caller frees. */
DSMR_MUST_USE enum dsmr_err dsmr_files_read(char **out, size_t *len, const char *path, size_t max);
/* Writes through a temporary file and a rename, so that no half file is ever seen. IO, DISK_FULL */
DSMR_MUST_USE enum dsmr_err dsmr_files_write(const char *path, const void *bytes, size_t len,
                                             unsigned mode);
/* Makes the folder and its parents. IO. */
DSMR_MUST_USE enum dsmr_err dsmr_files_make_folder(const char *path, unsigned mode);
/* Whether the folder holds something but what known names (up to NULL); name is then one of it.
 * False if there is no such folder. */
#define DSMR_FILES_NAME_BYTES 256u
bool dsmr_files_holds_other(char name[DSMR_FILES_NAME_BYTES], const char *path,
                            const char *const *known);
/* Makes a new folder in another one, its name stem and some letters, and puts its path into
 * path[size]. IO, TOO_LARGE. */
DSMR_MUST_USE enum dsmr_err dsmr_files_make_temporary(char *path, size_t size, const char *in,
                                                      const char *stem);
/* Removes a folder and everything in it; only what lies below path. */
void dsmr_files_remove_folder(const char *path);

#endif
