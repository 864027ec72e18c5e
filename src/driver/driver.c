#include "driver/driver.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/map.h"
#include "driver/driver_state.h"

static struct dsmr_driver_item *queue_add(struct dsmr_driver *driver)
{
    if (driver->queue_count == driver->queue_capacity) {
        /* An event makes a bounded number of effects, so this settles after a few doublings. */
        uint32_t capacity = driver->queue_capacity * 2;
        struct dsmr_driver_item *queue = malloc(capacity * sizeof *queue);
        if (queue == NULL) {
            dsmr_driver_halt(driver, DSMR_ERR_NO_MEMORY, "out of memory for effects");
            return NULL;
        }
        for (uint32_t i = 0; i < driver->queue_count; i++)
            queue[i] = driver->queue[(driver->queue_first + i) % driver->queue_capacity];
        free(driver->queue);
        driver->queue = queue;
        driver->queue_capacity = capacity;
        driver->queue_first = 0;
    }
    uint32_t at = (driver->queue_first + driver->queue_count) % driver->queue_capacity;
    driver->queue_count++;
    return &driver->queue[at];
}

static void clear_item(struct dsmr_driver_item *item)
{
    if (item->is_bft) {
        struct dsmr_bft_effects one = {.items = &item->fx.bft, .count = 1};
        dsmr_bft_effects_clear(&one);
    } else {
        struct dsmr_effects one = {.items = &item->fx.core, .count = 1};
        dsmr_effects_clear(&one);
    }
}

/* Moves what the core has just asked for into the queue; effects of an event stay in order. */
static void take_core_effects(struct dsmr_driver *driver)
{
    for (uint32_t i = 0; i < driver->core_fx.count; i++) {
        struct dsmr_driver_item *item = queue_add(driver);
        struct dsmr_driver_item lost;
        bool is_lost = item == NULL;
        item = is_lost ? &lost : item;
        item->is_bft = false;
        item->fx.core = driver->core_fx.items[i];
        if (is_lost)
            clear_item(item);
    }
    driver->core_fx.count = 0;
}

static void take_bft_effects(struct dsmr_driver *driver)
{
    for (uint32_t i = 0; i < driver->bft_fx.count; i++) {
        struct dsmr_driver_item *item = queue_add(driver);
        struct dsmr_driver_item lost;
        bool is_lost = item == NULL;
        item = is_lost ? &lost : item;
        item->is_bft = true;
        item->fx.bft = driver->bft_fx.items[i];
        if (is_lost)
            clear_item(item);
    }
    driver->bft_fx.count = 0;
}

void dsmr_driver_core_event(struct dsmr_driver *driver, struct dsmr_event *event)
{
    if (driver->halt != DSMR_OK)
        return; /* results that still come home are only freed */
    event->wall_ms = driver->config.clock.ops->wall_ms(driver->config.clock.self);
    event->mono_ms = driver->config.clock.ops->mono_ms(driver->config.clock.self);
    dsmr_node_step(driver->node, &driver->core_fx, event);
    take_core_effects(driver);
}

void dsmr_driver_bft_event(struct dsmr_driver *driver, struct dsmr_bft_event *event)
{
    if (driver->bft == NULL || driver->halt != DSMR_OK)
        return;
    event->wall_ms = driver->config.clock.ops->wall_ms(driver->config.clock.self);
    event->mono_ms = driver->config.clock.ops->mono_ms(driver->config.clock.self);
    dsmr_bft_step(driver->bft, &driver->bft_fx, event);
    take_bft_effects(driver);
}

static void check_disk(struct dsmr_driver *driver)
{
    uint64_t now_ms = driver->config.clock.ops->mono_ms(driver->config.clock.self);
    if (driver->config.store.ops->disk_free_bytes == NULL ||
        (driver->disk_checked_ms != 0 &&
         now_ms - driver->disk_checked_ms < DSMR_DRIVER_DISK_CHECK_MS))
        return;
    driver->disk_checked_ms = now_ms;
    driver->disk_free_bytes = driver->config.store.ops->disk_free_bytes(driver->config.store.self);
    bool is_low = driver->disk_free_bytes < driver->config.disk_low_bytes;
    if (is_low == driver->is_disk_low)
        return;
    driver->is_disk_low = is_low;
    dsmr_driver_log(driver, DSMR_LOG_WARN, "store",
                    is_low ? "disk is low: this node neither signs nor builds"
                           : "disk has space again: signing and building");
    struct dsmr_event event = {.kind = DSMR_EV_DISK_LOW, .u.flag = is_low};
    dsmr_driver_core_event(driver, &event);
}

void dsmr_driver_pump(struct dsmr_driver *driver)
{
    if (driver->is_started && driver->halt == DSMR_OK) /* at the end the store is closed already */
        check_disk(driver);
    while (driver->queue_count > 0) {
        struct dsmr_driver_item item = driver->queue[driver->queue_first];
        driver->queue_count--;
        /* An empty queue starts at its beginning again: the same few lines of memory all the time.
         */
        driver->queue_first =
            driver->queue_count == 0 ? 0 : (driver->queue_first + 1) % driver->queue_capacity;
        bool is_taken = false;
        /* Batches go home even at the end: their submitters own them. */
        bool is_owed = !item.is_bft && item.fx.core.kind == DSMR_FX_SUBMITTED;
        if (driver->halt == DSMR_OK || is_owed)
            is_taken = item.is_bft ? dsmr_bft_bridge_do(driver, &item.fx.bft)
                                   : dsmr_core_bridge_do(driver, &item.fx.core);
        if (!is_taken)
            clear_item(&item);
    }
    dsmr_published_update(driver);
}

void dsmr_driver_halt(struct dsmr_driver *driver, enum dsmr_err err, const char *reason)
{
    if (driver->halt != DSMR_OK)
        return;
    driver->halt = err;
    driver->halt_reason = reason;
    dsmr_driver_log(driver, DSMR_LOG_ERROR, "main", reason);
}

static void append(char text[DSMR_DRIVER_HALT_BYTES], const char *more)
{
    size_t at = strlen(text), len = strlen(more);
    len = len < DSMR_DRIVER_HALT_BYTES - 1 - at ? len : DSMR_DRIVER_HALT_BYTES - 1 - at;
    memcpy(text + at, more, len);
    text[at + len] = 0;
}

static void halt_disk(struct dsmr_driver *driver, enum dsmr_err err, const char *reason,
                      const char *cause)
{
    if (driver->halt != DSMR_OK)
        return;
    if (err != DSMR_ERR_DISK_FULL && err != DSMR_ERR_IO) {
        dsmr_driver_halt(driver, DSMR_ERR_HALTED, reason);
        return;
    }
    append(driver->halt_text, reason);
    append(driver->halt_text, ": ");
    append(driver->halt_text, cause[0] != 0 ? cause : dsmr_err_text(err));
    dsmr_driver_halt(driver, err, driver->halt_text);
}

void dsmr_driver_halt_store(struct dsmr_driver *driver, enum dsmr_err err, const char *reason)
{
    const struct dsmr_store *store = &driver->config.store;
    char cause[DSMR_DRIVER_HALT_BYTES] = "";
    if (store->ops->cause != NULL)
        store->ops->cause(store->self, cause, sizeof cause);
    halt_disk(driver, err, reason, cause);
}

void dsmr_driver_halt_state(struct dsmr_driver *driver, enum dsmr_err err, const char *reason)
{
    const struct dsmr_kv *kv = &driver->config.kv;
    char cause[DSMR_DRIVER_HALT_BYTES] = "";
    if (kv->ops->cause != NULL)
        kv->ops->cause(kv->self, cause, sizeof cause);
    halt_disk(driver, err, reason, cause);
}

void dsmr_driver_log(struct dsmr_driver *driver, enum dsmr_log_level level, const char *module,
                     const char *text)
{
    if (driver->config.log.ops != NULL)
        driver->config.log.ops->line(driver->config.log.self, level, module, text);
}

/* ---- peers ---- */

void dsmr_driver_fault(struct dsmr_driver *driver, const struct dsmr_node_id *peer,
                       enum dsmr_err err)
{
    if (dsmr_err_class_of(err) != DSMR_ERR_CLASS_PEER)
        return;
    struct dsmr_driver_peer *entry = dsmr_map_add(driver->peers, peer, NULL);
    if (entry == NULL)
        return;
    uint64_t now_ms = driver->config.clock.ops->mono_ms(driver->config.clock.self);
    if (entry->faults == 0 || now_ms - entry->fault_since_ms > DSMR_DRIVER_FAULT_WINDOW_MS) {
        entry->faults = 0;
        entry->fault_since_ms = now_ms;
    }
    entry->faults++;
    /* Bytes that are no message prove that the peer does not speak our protocol; the rest may be
     * bad luck (two clocks, a stale view) until it repeats. */
    bool is_garbage = err == DSMR_ERR_MALFORMED || err == DSMR_ERR_TRAILING_BYTES ||
                      err == DSMR_ERR_NON_CANONICAL || err == DSMR_ERR_VERSION;
    if (!is_garbage && entry->faults < DSMR_DRIVER_FAULTS_MAX)
        return;
    entry->faults = 0;
    if (driver->config.net.ops != NULL)
        driver->config.net.ops->drop(driver->config.net.self, peer, err);
}

void dsmr_driver_send(struct dsmr_driver *driver, const struct dsmr_node_id *to,
                      enum dsmr_msg_class cls, struct dsmr_buf *head, struct dsmr_buf *owner,
                      const uint8_t *body, uint32_t body_len)
{
    if (driver->config.net.ops == NULL || head == NULL)
        return;
    /* Not connected or a full queue: the protocol's own retries bring it again. */
    enum dsmr_err err =
        driver->config.net.ops->send(driver->config.net.self, to, cls, head, owner, body, body_len);
    if (err == DSMR_ERR_FULL)
        dsmr_metrics_count_error(driver->config.metrics, err);
}

void dsmr_driver_broadcast(struct dsmr_driver *driver, const struct dsmr_validator_set *set,
                           enum dsmr_msg_class cls, struct dsmr_buf *head, struct dsmr_buf *owner,
                           const uint8_t *body, uint32_t body_len)
{
    for (uint32_t i = 0; i < set->count; i++) {
        const struct dsmr_validator *validator = &set->validators[i];
        if (validator->node_ids_count != 1 ||
            dsmr_node_id_equal(&validator->node_ids[0], &driver->config.node.node_id))
            continue;
        dsmr_driver_send(driver, &validator->node_ids[0], cls, head, owner, body, body_len);
    }
}

static void on_message(void *owner, const struct dsmr_node_id *from, struct dsmr_buf *bytes)
{
    struct dsmr_driver *driver = owner;
    struct dsmr_msg msg;
    enum dsmr_err err = dsmr_msg_decode(&msg, bytes->bytes, bytes->len);
    if (err != DSMR_OK) {
        dsmr_metrics_count_error(driver->config.metrics, err);
        dsmr_driver_fault(driver, from, err);
        return;
    }
    if (msg.type >= DSMR_MSG_BFT_FIRST) {
        struct dsmr_bft_event event = {.kind = DSMR_BFT_EV_MESSAGE};
        event.u.message.from = *from;
        event.u.message.msg = &msg;
        event.u.message.bytes = bytes;
        dsmr_driver_bft_event(driver, &event);
    } else {
        struct dsmr_event event = {.kind = DSMR_EV_MESSAGE};
        event.u.message.from = *from;
        event.u.message.msg = &msg;
        event.u.message.bytes = bytes;
        dsmr_driver_core_event(driver, &event);
    }
}

static void on_peer(void *owner, const struct dsmr_node_id *peer, bool is_up)
{
    struct dsmr_driver *driver = owner;
    struct dsmr_driver_peer *entry = dsmr_map_add(driver->peers, peer, NULL);
    if (entry != NULL && entry->is_up != is_up) {
        entry->is_up = is_up;
        driver->peers_up = is_up ? driver->peers_up + 1 : driver->peers_up - 1;
    }
    struct dsmr_event event = {.kind = DSMR_EV_PEER};
    event.u.peer.node_id = *peer;
    event.u.peer.is_up = is_up;
    dsmr_driver_core_event(driver, &event);
    struct dsmr_bft_event bft_event = {.kind = DSMR_BFT_EV_PEER};
    bft_event.u.peer.node_id = *peer;
    bft_event.u.peer.is_up = is_up;
    dsmr_driver_bft_event(driver, &bft_event);
}

static const struct dsmr_net_handler net_handler = {.message = on_message, .peer = on_peer};

const struct dsmr_net_handler *dsmr_driver_net_handler(void)
{
    return &net_handler;
}

/* ---- the engine's door ---- */

static void engine_event(struct dsmr_driver *driver, enum dsmr_ev_kind kind, uint64_t request_id,
                         const struct dsmr_id *block_id)
{
    struct dsmr_event event = {.kind = kind, .request_id = request_id};
    event.u.engine.block_id = *block_id;
    event.u.engine.epoch = DSMR_EPOCH_NONE;
    dsmr_driver_core_event(driver, &event);
}

void dsmr_driver_build(struct dsmr_driver *driver, uint64_t request_id,
                       const struct dsmr_id *parent_id, uint64_t context)
{
    struct dsmr_event event = {.kind = DSMR_EV_BUILD, .request_id = request_id};
    event.u.engine.block_id = *parent_id;
    event.u.engine.epoch = context;
    dsmr_driver_core_event(driver, &event);
}

void dsmr_driver_verify(struct dsmr_driver *driver, uint64_t request_id, struct dsmr_block *block,
                        uint64_t context)
{
    struct dsmr_event event = {.kind = DSMR_EV_VERIFY_BLOCK, .request_id = request_id};
    event.u.engine.block_id = block->id;
    event.u.engine.epoch = context;
    event.u.engine.block = block;
    dsmr_driver_core_event(driver, &event);
}

void dsmr_driver_accept(struct dsmr_driver *driver, uint64_t request_id,
                        const struct dsmr_id *block_id)
{
    engine_event(driver, DSMR_EV_ACCEPT, request_id, block_id);
}

void dsmr_driver_reject(struct dsmr_driver *driver, const struct dsmr_id *block_id)
{
    engine_event(driver, DSMR_EV_REJECT, 0, block_id);
}

void dsmr_driver_prefer(struct dsmr_driver *driver, const struct dsmr_id *block_id)
{
    engine_event(driver, DSMR_EV_PREFER, 0, block_id);
}

void dsmr_driver_set_bootstrapping(struct dsmr_driver *driver, bool is_bootstrapping)
{
    struct dsmr_event event = {.kind = DSMR_EV_BOOTSTRAPPING, .u.flag = is_bootstrapping};
    dsmr_driver_core_event(driver, &event);
}

bool dsmr_driver_has_shared(const struct dsmr_driver *driver, struct dsmr_bls_sig *share,
                            const struct dsmr_reference *ref)
{
    return dsmr_node_has_shared(driver->node, share, ref);
}

void dsmr_driver_set_available(struct dsmr_driver *driver, uint64_t epoch)
{
    dsmr_validator_sets_available(driver, epoch);
}

/* ---- life ---- */

enum dsmr_err dsmr_driver_new(struct dsmr_driver **out, const struct dsmr_driver_config *config)
{
    struct dsmr_driver *driver = calloc(1, sizeof *driver);
    if (driver == NULL)
        return DSMR_ERR_NO_MEMORY;
    driver->config = *config;
    DSMR_ASSERT(config->bft.schedule != NULL || config->engine.ops != NULL);
    driver->config.node.metrics = config->metrics;
    driver->config.node.genesis = config->genesis;
    dsmr_block_ref(config->genesis);
    driver->queue_capacity = 1024;
    driver->queue = malloc(driver->queue_capacity * sizeof *driver->queue);
    driver->peers = dsmr_map_new(sizeof(struct dsmr_node_id), sizeof(struct dsmr_driver_peer),
                                 DSMR_DRIVER_PEERS_SPARE, config->node.seed);
    driver->node = dsmr_node_new(&driver->config.node);
    if (driver->queue == NULL || driver->peers == NULL || driver->node == NULL ||
        dsmr_effects_init(&driver->core_fx) != DSMR_OK ||
        dsmr_bft_effects_init(&driver->bft_fx) != DSMR_OK) {
        dsmr_driver_free(driver);
        return DSMR_ERR_NO_MEMORY;
    }
    driver->disk_free_bytes = UINT64_MAX;
    atomic_store(&driver->room_bytes, UINT64_MAX);
    *out = driver;
    return DSMR_OK;
}

void dsmr_driver_free(struct dsmr_driver *driver)
{
    if (driver == NULL)
        return;
    DSMR_ASSERT(driver->outstanding == 0);
    while (driver->queue_count > 0) {
        clear_item(&driver->queue[driver->queue_first]);
        driver->queue_first = (driver->queue_first + 1) % driver->queue_capacity;
        driver->queue_count--;
    }
    for (uint32_t i = 0; i < driver->plans_count; i++)
        dsmr_plan_unref(driver->plans[i]);
    dsmr_node_free(driver->node);
    if (driver->bft != NULL)
        dsmr_bft_free(driver->bft);
    dsmr_effects_close(&driver->core_fx);
    dsmr_bft_effects_close(&driver->bft_fx);
    dsmr_map_free(driver->peers);
    dsmr_block_unref(driver->config.genesis);
    free(driver->queue);
    free(driver);
}

void dsmr_driver_set_net(struct dsmr_driver *driver, const struct dsmr_net *net)
{
    driver->config.net = *net;
    driver->served_count = 0; /* it does not know yet whom to serve */
}

void dsmr_driver_set_feed(struct dsmr_driver *driver, const struct dsmr_feed *feed)
{
    driver->config.feed = *feed;
}

void dsmr_driver_task(struct dsmr_driver *driver, struct dsmr_task *task)
{
    task->done(task, driver);
    dsmr_driver_pump(driver);
}

void dsmr_driver_tick(struct dsmr_driver *driver)
{
    struct dsmr_event event = {.kind = DSMR_EV_TICK};
    dsmr_driver_core_event(driver, &event);
    struct dsmr_bft_event bft_event = {.kind = DSMR_BFT_EV_TICK};
    dsmr_driver_bft_event(driver, &bft_event);
    dsmr_validator_sets_tick(driver);
    dsmr_driver_pump(driver);
}

uint64_t dsmr_driver_deadline_ms(const struct dsmr_driver *driver)
{
    uint64_t deadline_ms = dsmr_node_deadline_ms(driver->node);
    uint64_t bft_ms = driver->bft == NULL ? UINT64_MAX : dsmr_bft_deadline_ms(driver->bft);
    uint64_t sets_ms = dsmr_validator_sets_deadline_ms(driver);
    deadline_ms = bft_ms < deadline_ms ? bft_ms : deadline_ms;
    deadline_ms = sets_ms < deadline_ms ? sets_ms : deadline_ms;
    /* A low disk is looked at again even when nothing else happens. */
    uint64_t disk_ms =
        driver->is_disk_low ? driver->disk_checked_ms + DSMR_DRIVER_DISK_CHECK_MS : UINT64_MAX;
    return disk_ms < deadline_ms ? disk_ms : deadline_ms;
}

enum dsmr_err dsmr_driver_halted(const struct dsmr_driver *driver, const char **reason)
{
    *reason = driver->halt_reason;
    return driver->halt;
}

void dsmr_driver_close(struct dsmr_driver *driver)
{
    if (driver->halt == DSMR_OK) {
        driver->halt = DSMR_ERR_CLOSED;
        driver->halt_reason = "closed";
    }
}

uint32_t dsmr_driver_outstanding(const struct dsmr_driver *driver)
{
    return driver->outstanding;
}

void dsmr_driver_check(const struct dsmr_driver *driver)
{
    dsmr_node_check(driver->node);
    if (driver->bft != NULL)
        dsmr_bft_check(driver->bft);
    DSMR_ASSERT(driver->plans_count <= DSMR_DRIVER_EXECUTE_BATCH_MAX);
}
