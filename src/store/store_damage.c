#include "store/store_damage.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/bytes.h"

void dsmr_store_damage_init(struct dsmr_store_damage *damage)
{
    (void)pthread_mutex_init(&damage->mutex, NULL);
    damage->count = 0;
}

void dsmr_store_damage_close(struct dsmr_store_damage *damage)
{
    (void)pthread_mutex_destroy(&damage->mutex);
}

/* Remembers the place. False: it was named before, or nothing more is named. */
static bool is_news(struct dsmr_store_damage *damage, uint64_t segment, uint64_t offset,
                    bool *is_last)
{
    bool is_known = false;

    (void)pthread_mutex_lock(&damage->mutex);
    for (uint32_t i = 0; i < damage->count; i++) {
        is_known = is_known ||
                   (damage->places[i].segment == segment && damage->places[i].offset == offset);
    }
    bool is_new = !is_known && damage->count < DSMR_STORE_DAMAGE_LINES_MAX;
    if (is_new) {
        damage->places[damage->count].segment = segment;
        damage->places[damage->count].offset = offset;
        damage->count++;
    }
    *is_last = is_new && damage->count == DSMR_STORE_DAMAGE_LINES_MAX;
    (void)pthread_mutex_unlock(&damage->mutex);
    return is_new;
}

static const char *what_of(enum dsmr_err err)
{
    switch (err) {
    case DSMR_ERR_UNKNOWN:
        return "has lost its file";
    case DSMR_ERR_CORRUPT:
        return "is damaged";
    default:
        return "cannot be read";
    }
}

void dsmr_store_damage_note(struct dsmr_store_damage *damage, struct dsmr_metrics *metrics,
                            const struct dsmr_log *log, const struct dsmr_id *chunk_id,
                            const struct dsmr_schema_place *place, enum dsmr_err err)
{
    /* Of a record the id stands for the place: no segment has the number 0. */
    uint64_t segment = place != NULL ? place->segment : 0;
    uint64_t offset = place != NULL ? place->offset : dsmr_load_be64(chunk_id->bytes);
    char id[2 * sizeof chunk_id->bytes + 1];
    char text[300];
    int len;
    bool is_last = false;

    if (metrics != NULL) {
        dsmr_metrics_add(metrics, DSMR_METRIC_CHUNKS_DAMAGED, 1);
    }
    if (!is_news(damage, segment, offset, &is_last) || log->ops == NULL) {
        return;
    }
    dsmr_hex_encode(id, chunk_id->bytes, sizeof chunk_id->bytes);
    if (place != NULL) {
        len = snprintf(text, sizeof text,
                       "chunks/%016" PRIx64 ".seg at %" PRIu64 ": the body of chunk %s %s", segment,
                       offset, id, what_of(err));
    } else {
        len = snprintf(text, sizeof text, "consensus/data.mdb: the record of chunk %s is damaged",
                       id);
    }
    (void)snprintf(text + len, sizeof text - (size_t)len,
                   ": it counts as not held, and is fetched again where it is needed%s",
                   is_last ? "; further ones are only counted (chunks_damaged_total)" : "");
    log->ops->line(log->self, DSMR_LOG_WARN, "store", text);
}
