/* store_cause.h - why the last write failed, in words: which file, and what the system said.
 *
 * Why:     an error code tells the program what to do; the operator must know which disk is full.
 * Threads: any; each call is atomic. */
#ifndef DSMR_STORE_STORE_CAUSE_H
#define DSMR_STORE_STORE_CAUSE_H

#include <pthread.h>
#include <stddef.h>

#define DSMR_STORE_CAUSE_BYTES 512u

struct dsmr_store_cause {
    pthread_mutex_t mutex;
    char text[DSMR_STORE_CAUSE_BYTES];
    void (*give_up)(const char *path, const char *what); /* the owner's; NULL: none */
};

void dsmr_store_cause_init(struct dsmr_store_cause *cause);
void dsmr_store_cause_close(struct dsmr_store_cause *cause);
/* Remembers "PATH: WHAT"; a path that is too long loses its beginning. cause NULL: nothing. */
void dsmr_store_cause_set(struct dsmr_store_cause *cause, const char *path, const char *what);
/* Empty if nothing has failed. */
void dsmr_store_cause_get(struct dsmr_store_cause *cause, char *text, size_t size);

#endif
