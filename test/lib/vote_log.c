#include "lib/vote_log.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/map.h"

#define VIEWS_MAX 65536u
#define NODES_MAX 64u

struct key { /* no padding: compared as bytes */
    uint64_t node, epoch, view;
};

struct said {
    bool has[DSMR_VOTE_FINALIZE + 1]; /* by kind */
    struct dsmr_id block_id[DSMR_VOTE_FINALIZE + 1];
};

struct dsmr_vote_log {
    struct dsmr_map *views; /* key -> said */
    uint64_t counts[NODES_MAX];
};

struct dsmr_vote_log *dsmr_vote_log_new(void)
{
    struct dsmr_vote_log *log = calloc(1, sizeof *log);
    DSMR_ASSERT(log != NULL);
    log->views = dsmr_map_new(sizeof(struct key), sizeof(struct said), VIEWS_MAX, 1);
    DSMR_ASSERT(log->views != NULL);
    return log;
}

void dsmr_vote_log_free(struct dsmr_vote_log *log)
{
    dsmr_map_free(log->views);
    free(log);
}

void dsmr_vote_log_add(struct dsmr_vote_log *log, uint32_t node, const struct dsmr_buf *head)
{
    struct dsmr_msg msg;
    if (head->len == 0 || head->bytes[0] != DSMR_MSG_BFT_VOTE)
        return;
    enum dsmr_err err = dsmr_msg_decode(&msg, head->bytes, head->len);
    DSMR_ASSERT(err == DSMR_OK && node < NODES_MAX);
    const struct dsmr_vote_subject *vote = &msg.u.vote.subject;
    struct key key = {.node = node, .epoch = vote->epoch, .view = vote->view};
    bool is_new = false;
    struct said *said = dsmr_map_add(log->views, &key, &is_new);
    DSMR_ASSERT(said != NULL);
    log->counts[node] += is_new;
    /* One block for each kind; FINALIZE and NULLIFY exclude each other. */
    DSMR_ASSERT(!said->has[vote->kind] ||
                dsmr_id_equal(&said->block_id[vote->kind], &vote->block_id));
    said->has[vote->kind] = true;
    said->block_id[vote->kind] = vote->block_id;
    DSMR_ASSERT(!said->has[DSMR_VOTE_FINALIZE] || !said->has[DSMR_VOTE_NULLIFY]);
}

uint64_t dsmr_vote_log_count(const struct dsmr_vote_log *log, uint32_t node)
{
    return log->counts[node];
}
