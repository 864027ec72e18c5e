#include "sim/sim_story.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "crypto/hash.h"

#define PREFIX_BYTES 256u
#define TELL_MAX 64u
#define CHUNK_AT 101u /* of REQUEST_CHUNK_SIGNATURE_SHARE; its header's bytes give its id */
#define CHUNK_HEADER_BYTES 153u

enum kind { NOTHING, SENT, RECEIVED, STORED, FAULT, DID };

struct deed {
    uint64_t order, at_us;
    enum kind kind;
    uint32_t other; /* the first to whom, or from whom, a message went */
    uint64_t to[2]; /* of the first 128 */
    const char *what, *number_name;
    uint64_t number;
    bool has_id;
    struct dsmr_id id;
    uint32_t len; /* of the whole message */
    uint8_t bytes[PREFIX_BYTES];
};

struct ring {
    struct deed deeds[DSMR_SIM_STORY_DEEDS];
    uint32_t next;
};

struct dsmr_sim_story {
    uint64_t order;
    uint32_t bodies;
    struct ring *rings;
    bool is_traced;
    const struct deed *latest; /* with is_traced: not told yet */
    uint32_t latest_body;
};

struct dsmr_sim_story *dsmr_sim_story_new(uint32_t bodies, bool is_traced)
{
    struct dsmr_sim_story *story = calloc(1, sizeof(*story));
    DSMR_ASSERT(story != NULL);
    story->bodies = bodies;
    story->is_traced = is_traced;
    story->rings = calloc(bodies, sizeof(*story->rings));
    DSMR_ASSERT(story->rings != NULL);
    return story;
}

/* ---- sentences ---- */

struct text {
    char bytes[DSMR_SIM_STORY_LINE];
    size_t len;
};

static void write_text(struct text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void write_text(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text->bytes + text->len, sizeof(text->bytes) - text->len, format, args);
    va_end(args);
    text->len += len > 0 ? (size_t)len : 0;
    text->len = text->len < sizeof(text->bytes) ? text->len : sizeof(text->bytes) - 1;
}

static void write_id(struct text *text, const uint8_t *id)
{
    write_text(text, " %02x%02x%02x%02x", id[0], id[1], id[2], id[3]);
}

/* Where docs/wire.md has what a reader looks for first; 0: nowhere. */
static const struct layout {
    uint8_t id, number, err;
    const char *id_name, *number_name;
} layouts[] = {
    [DSMR_MSG_STATUS] = {.number = 1, .number_name = "accepted height"},
    [DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE] = {.number = CHUNK_AT + 65, .number_name = "slot"},
    [DSMR_MSG_CHUNK_SIGNATURE] = {1, 61, 0, "chunk", "slot"},
    [DSMR_MSG_CHUNK_REFUSED] = {1, 0, 33, "chunk", NULL},
    [DSMR_MSG_CERTIFICATE] = {1, 61, 0, "chunk", "slot"},
    [DSMR_MSG_CERTIFICATE_ANSWER] = {1, 0, 33, "chunk", NULL},
    [DSMR_MSG_REQUEST_CHUNK] = {1, 33, 0, "chunk", "block"},
    [DSMR_MSG_CHUNK] = {1, 0, 33, "chunk", NULL},
    [DSMR_MSG_BFT_PROPOSAL] = {57, 9, 0, "block", "view"},
    [DSMR_MSG_BFT_VOTE] = {26, 10, 0, "block", "view"},
    [DSMR_MSG_BFT_QUORUM_CERT] = {26, 10, 0, "block", "view"},
    [DSMR_MSG_BFT_REQUEST_BLOCKS] = {.number = 1, .number_name = "height"},
    [DSMR_MSG_BFT_BLOCKS] = {26, 10, 0, "block", "view"},
    [DSMR_MSG_BFT_REQUEST_VIEW] = {.number = 17, .number_name = "to view"},
    [DSMR_MSG_BFT_REQUEST_BLOCK] = {.id = 1, .id_name = "block"},
    [DSMR_MSG_BFT_BLOCK] = {.id = 0},
    [DSMR_MSG_BFT_POSITION] = {.number = 9, .number_name = "view"},
};

static const char *vote_name(uint8_t kind)
{
    static const char *const names[] = {"", " NOTARIZE", " NULLIFY", " FINALIZE"};
    return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "";
}

static void write_message(struct text *text, const struct deed *deed)
{
    uint8_t type = deed->len > 0 ? deed->bytes[0] : 0;
    if (type >= sizeof(layouts) / sizeof(layouts[0]) || dsmr_msg_class_of(type) < 0) {
        write_text(text, " %" PRIu32 " bytes of no message", deed->len);
        return;
    }
    const struct layout *layout = &layouts[type];
    write_text(text, " %s", dsmr_msg_name(type));
    if (type == DSMR_MSG_BFT_VOTE || type == DSMR_MSG_BFT_QUORUM_CERT) {
        write_text(text, "%s", vote_name(deed->bytes[1]));
    }
    if (type == DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE &&
        deed->len >= CHUNK_AT + CHUNK_HEADER_BYTES) {
        struct dsmr_id id;
        dsmr_hash(&id, deed->bytes + CHUNK_AT, CHUNK_HEADER_BYTES);
        write_text(text, " chunk");
        write_id(text, id.bytes);
    }
    if (layout->id > 0 && deed->len >= layout->id + 32u) {
        write_text(text, " %s", layout->id_name);
        write_id(text, deed->bytes + layout->id);
    }
    if (layout->number > 0 && deed->len >= layout->number + 8u) {
        write_text(text, " %s %" PRIu64, layout->number_name,
                   dsmr_load_be64(deed->bytes + layout->number));
    }
    if (layout->err > 0 && deed->len >= layout->err + 2u) {
        uint16_t err = dsmr_load_be16(deed->bytes + layout->err);
        write_text(text, " %s",
                   err < DSMR_ERR_NUMBER_MAX ? dsmr_err_name((enum dsmr_err)err) : "?");
    }
}

static void write_receivers(struct text *text, const struct deed *deed)
{
    write_text(text, " to");
    if (deed->other >= 128) {
        write_text(text, " n%" PRIu32 " and others", deed->other);
    }
    for (uint32_t i = 0; i < 128; i++) {
        if ((deed->to[i / 64] >> i % 64 & 1) != 0) {
            write_text(text, " n%" PRIu32, i);
        }
    }
}

static void write_deed(struct text *text, uint32_t body, const struct deed *deed)
{
    write_text(text, "n%" PRIu32, body);
    switch (deed->kind) {
    case SENT:
        write_text(text, " sends");
        write_message(text, deed);
        write_receivers(text, deed);
        return;
    case RECEIVED:
        write_text(text, " takes");
        write_message(text, deed);
        write_text(text, " from n%" PRIu32, deed->other);
        return;
    case STORED:
        write_text(text, " has on disk");
        break;
    case FAULT:
        write_text(text, " has a fault:");
        break;
    case DID:
    case NOTHING:
        break;
    }
    write_text(text, " %s", deed->what);
    if (deed->has_id) {
        write_id(text, deed->id.bytes);
    }
    if (deed->number_name != NULL) {
        write_text(text, " %s %" PRIu64, deed->number_name, deed->number);
    }
}

/* As dsmr_sim_trace writes. */
static void trace_latest(struct dsmr_sim_story *story)
{
    struct text text = {.len = 0};
    if (story->latest != NULL) {
        write_deed(&text, story->latest_body, story->latest);
        fprintf(stderr, "%10.3f %s\n", (double)story->latest->at_us / 1000.0, text.bytes);
        story->latest = NULL;
    }
}

void dsmr_sim_story_free(struct dsmr_sim_story *story)
{
    trace_latest(story);
    free(story->rings);
    free(story);
}

/* ---- what happens ---- */

static struct deed *add(struct dsmr_sim_story *story, uint64_t at_us, uint32_t body, enum kind kind)
{
    DSMR_ASSERT(body < story->bodies);
    struct ring *ring = &story->rings[body];
    trace_latest(story);
    struct deed *deed = &ring->deeds[ring->next++ % DSMR_SIM_STORY_DEEDS];
    story->latest = story->is_traced ? deed : NULL;
    story->latest_body = body;
    deed->order = ++story->order;
    deed->at_us = at_us;
    deed->kind = kind;
    return deed;
}

static uint32_t prefix_of(const struct dsmr_buf *bytes)
{
    return bytes->len < PREFIX_BYTES ? (uint32_t)bytes->len : PREFIX_BYTES;
}

static struct deed *add_message(struct dsmr_sim_story *story, uint64_t at_us, uint32_t body,
                                enum kind kind, const struct dsmr_buf *bytes)
{
    struct deed *deed = add(story, at_us, body, kind);
    deed->len = (uint32_t)bytes->len;
    memcpy(deed->bytes, bytes->bytes, prefix_of(bytes));
    return deed;
}

void dsmr_sim_story_sent(struct dsmr_sim_story *story, uint64_t at_us, uint32_t body, uint32_t to,
                         const struct dsmr_buf *bytes)
{
    DSMR_ASSERT(body < story->bodies);
    struct ring *ring = &story->rings[body];
    struct deed *deed = &ring->deeds[(ring->next - 1) % DSMR_SIM_STORY_DEEDS];
    if (deed->kind != SENT || deed->at_us != at_us || deed->len != bytes->len ||
        memcmp(deed->bytes, bytes->bytes, prefix_of(bytes)) != 0) {
        deed = add_message(story, at_us, body, SENT, bytes);
        deed->other = to;
        deed->to[0] = deed->to[1] = 0;
    }
    if (to < 128) {
        deed->to[to / 64] |= UINT64_C(1) << to % 64;
    }
}

void dsmr_sim_story_received(struct dsmr_sim_story *story, uint64_t at_us, uint32_t body,
                             uint32_t from, const struct dsmr_buf *bytes)
{
    add_message(story, at_us, body, RECEIVED, bytes)->other = from;
}

static void put(struct deed *deed, const char *what, const struct dsmr_id *id,
                const char *number_name, uint64_t number)
{
    deed->what = what;
    deed->number_name = number_name;
    deed->number = number;
    deed->has_id = id != NULL;
    if (id != NULL) {
        deed->id = *id;
    }
}

void dsmr_sim_story_stored(struct dsmr_sim_story *story, uint64_t at_us, uint32_t body,
                           const struct dsmr_store_write *write)
{
    struct deed *deed = add(story, at_us, body, STORED);
    const struct dsmr_store_chunk_meta *meta;
    switch (write->kind) {
    case DSMR_STORE_CHUNK:
        meta = write->u.chunk.meta;
        put(deed, meta->is_signed ? "a journal entry and its chunk" : "chunk", &meta->ref.chunk_id,
            "slot", meta->ref.slot);
        break;
    case DSMR_STORE_CERT:
        put(deed, "a certificate of chunk", &write->u.cert->ref.chunk_id, "slot",
            write->u.cert->ref.slot);
        break;
    case DSMR_STORE_ACCEPT:
        put(deed, "the accept of block", &write->u.accept.block->id, "height",
            write->u.accept.block->height);
        break;
    case DSMR_STORE_EVIDENCE:
        put(deed, "evidence", NULL, NULL, 0);
        break;
    case DSMR_STORE_GC:
        put(deed, "a collection", NULL, "floor", write->u.gc.floor_ms);
        break;
    case DSMR_STORE_BFT_PUT:
        put(deed, "a record of the engine", NULL, "bytes", write->u.bft.value_len);
        break;
    case DSMR_STORE_BFT_PRUNE:
        put(deed, "the engine's records without old ones", NULL, NULL, 0);
        break;
    }
}

void dsmr_sim_story_did(struct dsmr_sim_story *story, uint64_t at_us, uint32_t body,
                        const char *what, const struct dsmr_id *id, uint64_t height)
{
    put(add(story, at_us, body, DID), what, id, height > 0 ? "height" : NULL, height);
}

void dsmr_sim_story_fault(struct dsmr_sim_story *story, uint64_t at_us, uint32_t body,
                          const char *name)
{
    put(add(story, at_us, body, FAULT), name, NULL, NULL, 0);
}

/* ---- telling ---- */

/* The latest deed before that order; NULL: none that is still known. */
static const struct deed *latest_before(const struct dsmr_sim_story *story, const bool *is_wanted,
                                        uint64_t order, uint32_t *body)
{
    const struct deed *latest = NULL;
    for (uint32_t i = 0; i < story->bodies; i++) {
        for (uint32_t k = 0; is_wanted[i] && k < DSMR_SIM_STORY_DEEDS; k++) {
            const struct deed *deed = &story->rings[i].deeds[k];
            if (deed->kind != NOTHING && deed->order < order &&
                (latest == NULL || deed->order > latest->order)) {
                latest = deed;
                *body = i;
            }
        }
    }
    return latest;
}

uint32_t dsmr_sim_story_tell(const struct dsmr_sim_story *story, const bool *is_wanted,
                             uint32_t count, void (*say)(void *ctx, const char *line), void *ctx)
{
    const struct deed *found[TELL_MAX];
    uint32_t bodies[TELL_MAX], found_count = 0;
    uint64_t order = UINT64_MAX;
    count = count < TELL_MAX ? count : TELL_MAX;
    while (found_count < count) {
        const struct deed *deed = latest_before(story, is_wanted, order, &bodies[found_count]);
        if (deed == NULL) {
            break;
        }
        order = deed->order;
        found[found_count++] = deed;
    }
    for (uint32_t i = found_count; i > 0; i--) {
        struct text text = {.len = 0};
        write_text(&text, "%.3f s ", (double)found[i - 1]->at_us / 1e6);
        write_deed(&text, bodies[i - 1], found[i - 1]);
        say(ctx, text.bytes);
    }
    return found_count;
}
