#include "core/admission.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/order.h"

#define LATE_MS 600u        /* what waits longer waits too long: half as long again is the aim */
#define BULK_LATE_MS 400u   /* least of the same where what waits is memory */
#define ENGINE_MS_MAX 1500u /* more is a queue of the engine's own */
#define ENGINE_MS_USUAL 300u
#define ENGINE_PARTS 8u
#define LEAST_MS_MAX 2000u
#define LEAST_SPAN_MS 32000u
#define QUICK_SPAN_MS 8000u
#define SETTLED_MS 1000u
#define PAUSE_MS 500u
#define RECENT_BUCKETS 5u /* so that a load that grows finds its room soon */

void dsmr_admission_init(struct dsmr_admission *adm, uint32_t least_bytes, uint64_t bulk_bytes)
{
    DSMR_ASSERT(least_bytes > 0);
    memset(adm, 0, sizeof(*adm));
    adm->least_bytes = least_bytes;
    adm->bulk_bytes = bulk_bytes;
}

static void forget(struct dsmr_admission *adm, struct dsmr_admission_chunk *chunk, uint64_t mono_ms)
{
    DSMR_ASSERT(adm->built_bytes >= chunk->bytes);
    adm->built_bytes -= chunk->bytes;
    chunk->bytes = 0;
    adm->emptied_ms = mono_ms;
    while (adm->built_bytes > 0 && adm->chunks[adm->oldest].bytes == 0) {
        adm->oldest = (adm->oldest + 1) % DSMR_ADMISSION_CHUNKS_MAX;
    }
}

/* Chunks that leave with the slots may be executed before the next one leaves: only a while with
 * nothing inside ends what was. */
static bool is_busy(const struct dsmr_admission *adm, uint64_t mono_ms)
{
    return adm->busy_ms != 0 && (adm->built_bytes > 0 || mono_ms < adm->emptied_ms + PAUSE_MS);
}

static struct dsmr_admission_chunk *find(struct dsmr_admission *adm, const struct dsmr_id *chunk_id)
{
    for (uint32_t i = 0; adm->built_bytes > 0 && i < DSMR_ADMISSION_CHUNKS_MAX; i++) {
        struct dsmr_admission_chunk *chunk = &adm->chunks[i];
        if (chunk->bytes > 0 && dsmr_id_equal(&chunk->chunk_id, chunk_id)) {
            return chunk;
        }
    }
    return NULL;
}

void dsmr_admission_on_built(struct dsmr_admission *adm, const struct dsmr_reference *ref,
                             uint64_t since_ms, uint64_t mono_ms)
{
    struct dsmr_admission_chunk *chunk = &adm->chunks[adm->next];
    adm->next = (adm->next + 1) % DSMR_ADMISSION_CHUNKS_MAX;
    if (chunk->bytes > 0) {
        forget(adm, chunk, mono_ms);
    }
    *chunk = (struct dsmr_admission_chunk){
        .chunk_id = ref->chunk_id, .bytes = ref->chunk_bytes, .since_ms = since_ms};
    if (adm->built_bytes == 0) {
        mono_ms = mono_ms > 0 ? mono_ms : 1;
        adm->busy_ms = is_busy(adm, mono_ms) ? adm->busy_ms : mono_ms;
        adm->oldest = (uint32_t)(chunk - adm->chunks);
        chunk->built_ms = chunk->bytes <= adm->least_bytes ? mono_ms : 0;
    }
    adm->built_bytes += chunk->bytes;
}

void dsmr_admission_on_returned(struct dsmr_admission *adm, const struct dsmr_id *chunk_id,
                                uint64_t mono_ms)
{
    struct dsmr_admission_chunk *chunk = find(adm, chunk_id);
    if (chunk != NULL) {
        forget(adm, chunk, mono_ms);
    }
}

/* The window ends with the bucket of mono_ms. */
static void move_window(struct dsmr_admission *adm, uint64_t mono_ms)
{
    uint64_t bucket = mono_ms / DSMR_ADMISSION_BUCKET_MS;
    for (uint32_t steps = 0; adm->done_bucket < bucket && steps < DSMR_ADMISSION_BUCKETS; steps++) {
        adm->done_bucket = bucket - adm->done_bucket > DSMR_ADMISSION_BUCKETS
                               ? bucket - DSMR_ADMISSION_BUCKETS + 1
                               : adm->done_bucket + 1;
        adm->done[adm->done_bucket % DSMR_ADMISSION_BUCKETS] = 0;
    }
}

static uint64_t least_ms(const struct dsmr_admission_least *least)
{
    const uint64_t *ms = least->ms;
    return ms[1] != 0 && (ms[0] == 0 || ms[1] < ms[0]) ? ms[1] : ms[0];
}

/* What was executed in that many buckets up to now, in bytes for each target_ms. */
static uint64_t executed_in(const struct dsmr_admission *adm, uint32_t buckets, uint64_t target_ms,
                            uint64_t mono_ms)
{
    uint64_t bucket = mono_ms / DSMR_ADMISSION_BUCKET_MS;
    uint64_t span_ms = mono_ms > adm->busy_ms ? mono_ms - adm->busy_ms : 0;
    uint64_t window_ms =
        (buckets - 1) * DSMR_ADMISSION_BUCKET_MS + mono_ms % DSMR_ADMISSION_BUCKET_MS;
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < buckets; i++) { /* those that no time has passed over */
        bytes += adm->done_bucket >= i && adm->done_bucket + buckets > bucket + i
                     ? adm->done[(adm->done_bucket - i) % DSMR_ADMISSION_BUCKETS]
                     : 0;
    }
    span_ms = span_ms < window_ms ? span_ms : window_ms;
    bytes = bytes < UINT64_MAX / target_ms ? bytes : UINT64_MAX / target_ms;
    return span_ms > 0 ? bytes * target_ms / span_ms : 0;
}

/* What certificates wait for their block beyond the usual. */
static uint64_t slow_engine_ms(const struct dsmr_admission *adm)
{
    uint64_t engine_ms = adm->engine_ms8 / ENGINE_PARTS;
    engine_ms = engine_ms < ENGINE_MS_MAX ? engine_ms : ENGINE_MS_MAX;
    return engine_ms > ENGINE_MS_USUAL ? engine_ms - ENGINE_MS_USUAL : 0;
}

/* What may be inside while what has waited for wait_ms is late after late_ms, and then waits half
 * as much longer; UINT64_MAX: no bound. The rate is the quicker of the last second and the last
 * three. */
static uint64_t bound_of(const struct dsmr_admission *adm, uint64_t late_ms, uint64_t wait_ms,
                         uint64_t mono_ms)
{
    uint64_t least = least_ms(&adm->least);
    uint64_t target_ms = dsmr_larger(2 * least, late_ms + late_ms / 2 + slow_engine_ms(adm));
    late_ms = dsmr_larger(least + least / 2, late_ms + slow_engine_ms(adm));
    if (!is_busy(adm, mono_ms) || mono_ms < adm->busy_ms + SETTLED_MS || wait_ms <= late_ms) {
        return UINT64_MAX;
    }
    uint64_t most = executed_in(adm, DSMR_ADMISSION_BUCKETS, target_ms, mono_ms);
    if (most == 0) {
        return UINT64_MAX; /* what stands still ends by itself (13.5) */
    }
    return dsmr_larger(most, executed_in(adm, RECENT_BUCKETS, target_ms, mono_ms));
}

static uint64_t usual_bound(const struct dsmr_admission *adm, uint64_t mono_ms)
{
    return dsmr_larger(bound_of(adm, LATE_MS, adm->wait_ms, mono_ms), adm->least_bytes);
}

/* Of what is more than bulk_bytes. What waits for less than three times the least of lately hardly
 * waits for a queue, and what is inside waits already. */
static uint64_t bulk_bound(const struct dsmr_admission *adm, uint64_t mono_ms)
{
    uint64_t since_ms = adm->chunks[adm->oldest].since_ms;
    bool waits = adm->built_bytes > 0 && mono_ms > since_ms;
    uint64_t wait_ms = waits ? dsmr_larger(adm->wait_ms, mono_ms - since_ms) : adm->wait_ms;
    uint64_t late_ms = 3 * least_ms(&adm->quick);
    late_ms = late_ms != 0 && late_ms < LATE_MS ? dsmr_larger(late_ms, BULK_LATE_MS) : LATE_MS;
    return dsmr_larger(bound_of(adm, late_ms, wait_ms, mono_ms), adm->bulk_bytes);
}

static void note_least(struct dsmr_admission_least *least, uint64_t wait_ms, uint64_t span_ms,
                       uint64_t mono_ms)
{
    uint64_t number = mono_ms / span_ms;
    if (number != least->number) {
        least->ms[1] = number == least->number + 1 ? least->ms[0] : 0;
        least->ms[0] = 0;
        least->number = number;
    }
    wait_ms = wait_ms > 0 ? wait_ms : 1;
    wait_ms = wait_ms < LEAST_MS_MAX ? wait_ms : LEAST_MS_MAX;
    if (least->ms[0] == 0 || wait_ms < least->ms[0]) {
        least->ms[0] = wait_ms;
    }
}

void dsmr_admission_on_accepted(struct dsmr_admission *adm, uint64_t waited_ms)
{
    waited_ms = waited_ms < 2 * ENGINE_MS_MAX ? waited_ms : 2 * ENGINE_MS_MAX;
    adm->engine_ms8 = adm->engine_ms8 - adm->engine_ms8 / ENGINE_PARTS + waited_ms;
}

void dsmr_admission_on_executed(struct dsmr_admission *adm, const struct dsmr_id *chunk_id,
                                uint64_t mono_ms)
{
    struct dsmr_admission_chunk *chunk = find(adm, chunk_id);
    if (chunk == NULL) {
        return;
    }
    move_window(adm, mono_ms);
    adm->done[adm->done_bucket % DSMR_ADMISSION_BUCKETS] += chunk->bytes;
    adm->wait_ms = mono_ms > chunk->since_ms ? mono_ms - chunk->since_ms : 0;
    note_least(&adm->quick, adm->wait_ms, QUICK_SPAN_MS, mono_ms);
    if (chunk->built_ms != 0) {
        note_least(&adm->least, mono_ms - chunk->built_ms, LEAST_SPAN_MS, mono_ms);
    } else if (usual_bound(adm, mono_ms) == adm->least_bytes) {
        memset(&adm->least, 0, sizeof(adm->least)); /* no queue is that short */
        note_least(&adm->least, adm->wait_ms, LEAST_SPAN_MS, mono_ms);
    }
    forget(adm, chunk, mono_ms);
}

uint64_t dsmr_admission_room(const struct dsmr_admission *adm, uint64_t mempool_bytes,
                             uint64_t mono_ms)
{
    uint64_t inside = adm->built_bytes + mempool_bytes;
    uint64_t usual = usual_bound(adm, mono_ms);
    uint64_t bulk = bulk_bound(adm, mono_ms);
    uint64_t most = usual < bulk ? usual : bulk;
    return most == UINT64_MAX ? most : most > inside ? most - inside : 0;
}
