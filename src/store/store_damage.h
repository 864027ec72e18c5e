/* store_damage.h - chunk bodies that cannot be read: said once each, and counted.
 *
 * Why:     the node goes on without such a body (it is fetched again where it is needed), so only
 *          a line and a number tell the operator that a disk loses bytes.
 * Not here: what becomes of the chunk: a read answers CORRUPT, and its callers take it as not held.
 * Limits:  DSMR_STORE_DAMAGE_LINES_MAX places are named in one run; further ones are only counted.
 * Threads: any; each call is atomic. */
#ifndef DSMR_STORE_STORE_DAMAGE_H
#define DSMR_STORE_STORE_DAMAGE_H

#include <pthread.h>

#include "base/metrics.h"
#include "ports/log.h"
#include "store/schema.h"

#define DSMR_STORE_DAMAGE_LINES_MAX 64u

struct dsmr_store_damage {
    pthread_mutex_t mutex;
    uint32_t count; /* of places */
    struct {
        uint64_t segment, offset;
    } places[DSMR_STORE_DAMAGE_LINES_MAX]; /* that have been named */
};

void dsmr_store_damage_init(struct dsmr_store_damage *damage);
void dsmr_store_damage_close(struct dsmr_store_damage *damage);
/* A body was read in vain; err is what dsmr_segments_read answered. place NULL: its record is
 * damaged. metrics NULL: not counted. */
void dsmr_store_damage_note(struct dsmr_store_damage *damage, struct dsmr_metrics *metrics,
                            const struct dsmr_log *log, const struct dsmr_id *chunk_id,
                            const struct dsmr_schema_place *place, enum dsmr_err err);

#endif
