/* sim_work.c - the workers: cores that take a task's time (what it costs: sim_cpu.h).
 *
 * A task runs when a core takes it, at once; what it costs is added up while it runs, and it comes
 * home when that time has passed. */
#include <stdlib.h>

#include "sim/sim_state.h"

static bool has_costs(const struct dsmr_sim *sim)
{
    return sim->config.costs.bls_verify > 0;
}

static struct dsmr_task *take(struct dsmr_sim_node *node, enum dsmr_work_lane lane)
{
    struct dsmr_task *task = node->work[lane];
    if (task != NULL) {
        node->work[lane] = task->next;
        node->work_end[lane] = task->next == NULL ? &node->work[lane] : node->work_end[lane];
        task->next = NULL;
    }
    return task;
}

#define TOGETHER_MAX 16u

/* With what waits in lane and goes with it, as the workers of src/host do. */
static struct dsmr_task *take_together(struct dsmr_sim_node *node, enum dsmr_work_lane lane)
{
    struct dsmr_task *first = take(node, lane), *last = first;
    struct dsmr_task **at = &node->work[lane];
    for (uint32_t count = 1; first != NULL && first->run_many != NULL && *at != NULL;) {
        struct dsmr_task *other = *at;
        if (other->run_many != first->run_many || count == TOGETHER_MAX) {
            at = &other->next;
            continue;
        }
        *at = other->next;
        other->next = NULL;
        last = last->next = other;
        count++;
    }
    while (*at != NULL) {
        at = &(*at)->next;
    }
    node->work_end[lane] = at;
    return first;
}

static void run(struct dsmr_sim_node *node, struct dsmr_task *task, uint32_t core)
{
    struct dsmr_sim *sim = node->sim;
    uint64_t reads = dsmr_sim_store_reads(node->store);
    dsmr_sim_cpu_begin(node);
    task->next == NULL ? task->run(task) : task->run_many(task);
    uint64_t cost_ns = dsmr_sim_cpu_end();
    bool is_slow =
        core == DSMR_SIM_CORES_MAX && sim->config.execute_us_max > 0 && !sim->is_quorum_healed;
    uint64_t us_max = is_slow ? sim->config.execute_us_max : 2000;
    uint64_t takes_us =
        has_costs(sim) ? cost_ns / 1000 + 1 : dsmr_prng_below(&sim->work_prng, us_max + 1);
    takes_us += dsmr_sim_store_reads(node->store) > reads ? dsmr_sim_disk_extra_us(node) : 0;
    *(core == DSMR_SIM_CORES_MAX ? &node->usage.execute_ns : &node->usage.busy_ns) += cost_ns;
    node->running[core] = task;
    dsmr_sim_queue_push(&sim->queue, (struct dsmr_sim_event){.due_us = sim->now_us + takes_us,
                                                             .kind = DSMR_SIM_WORK,
                                                             .node = node->number,
                                                             .life = node->life,
                                                             .a = core});
}

static uint32_t cores_of(const struct dsmr_sim_node *node)
{
    uint32_t cores = node->sim->config.cores;
    return cores == 0 || cores > DSMR_SIM_CORES_MAX ? DSMR_SIM_CORES_MAX : cores;
}

/* The execution lane has the slot behind the cores. */
void dsmr_sim_work_start(struct dsmr_sim_node *node)
{
    for (uint32_t core = 0; core < cores_of(node) && !node->is_paused; core++) {
        if (node->running[core] != NULL) {
            continue;
        }
        struct dsmr_task *task = take_together(node, DSMR_WORK_URGENT);
        task = task != NULL ? task : take_together(node, DSMR_WORK_BULK);
        if (task == NULL) {
            break;
        }
        run(node, task, core);
    }
    if (node->running[DSMR_SIM_CORES_MAX] == NULL && !node->is_paused) {
        struct dsmr_task *task = take(node, DSMR_WORK_EXECUTE);
        if (task != NULL) {
            run(node, task, DSMR_SIM_CORES_MAX);
        }
    }
}

void dsmr_sim_work_done(struct dsmr_sim_node *node, uint32_t core)
{
    struct dsmr_task *task = node->running[core];
    DSMR_ASSERT(task != NULL);
    node->running[core] = NULL;
    while (task != NULL) {
        struct dsmr_task *next = task->next;
        task->next = NULL;
        dsmr_sim_node_push_task(node, task);
        task = next;
    }
    dsmr_sim_work_start(node);
}

static void submit(void *self, enum dsmr_work_lane lane, struct dsmr_task *task)
{
    struct dsmr_sim_node *node = self;
    (void)dsmr_sim_node_port_call(node);
    task->next = NULL;
    *node->work_end[lane] = task;
    node->work_end[lane] = &task->next;
    if (!node->is_dying) { /* else the crash gives it back */
        dsmr_sim_probe_pause();
        dsmr_sim_work_start(node);
        dsmr_sim_probe_resume();
    }
}

static void random_bytes(void *self, uint8_t *out, size_t len)
{
    struct dsmr_sim_node *node = self;
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)dsmr_prng_next(&node->sim->work_prng);
    }
}

struct dsmr_work dsmr_sim_work_port(struct dsmr_sim_node *node)
{
    static const struct dsmr_work_ops ops = {.submit = submit, .random = random_bytes};
    return (struct dsmr_work){.self = node, .ops = &ops};
}

void dsmr_sim_work_drop_all(struct dsmr_sim_node *node)
{
    for (uint32_t core = 0; core <= DSMR_SIM_CORES_MAX; core++) {
        for (struct dsmr_task *task = node->running[core], *next; task != NULL; task = next) {
            next = task->next;
            task->done(task, node->driver);
        }
        node->running[core] = NULL;
    }
    for (int lane = 0; lane < DSMR_WORK_LANES; lane++) {
        struct dsmr_task *task;
        while ((task = take(node, (enum dsmr_work_lane)lane)) != NULL) {
            task->done(task, node->driver);
        }
    }
}

/* ---- the application ---- */

static uint32_t app_check(const void *self, enum dsmr_err *errs, const struct dsmr_tx_view *txs,
                          uint32_t count)
{
    const struct dsmr_sim_node *node = self;
    dsmr_sim_cpu_check(txs, count);
    const struct dsmr_sim_config *config = &node->sim->config;
    return config->app == DSMR_SIM_TRANSFERS && !config->has_real_crypto
               ? dsmr_sim_verdicts_check(node->sim->verdicts, &node->app, errs, txs, count)
               : node->app.ops->check(node->app.self, errs, txs, count);
}

static enum dsmr_err app_genesis(void *self, struct dsmr_id *root, const char **reason,
                                 const struct dsmr_kv *kv, struct dsmr_kv_txn *txn,
                                 const char *genesis, size_t genesis_len)
{
    struct dsmr_sim_node *node = self;
    return node->app.ops->genesis(node->app.self, root, reason, kv, txn, genesis, genesis_len);
}

static enum dsmr_err app_execute(void *self, struct dsmr_id *root, struct dsmr_app_result *results,
                                 const struct dsmr_kv *kv, struct dsmr_kv_txn *txn,
                                 const struct dsmr_app_block *block)
{
    struct dsmr_sim_node *node = self;
    dsmr_sim_cpu_execute(block->txs_count);
    return node->app.ops->execute(node->app.self, root, results, kv, txn, block);
}

static enum dsmr_err app_query(const void *self, struct dsmr_app_text *out,
                               const struct dsmr_kv *kv, struct dsmr_kv_txn *snapshot,
                               const char *path)
{
    const struct dsmr_sim_node *node = self;
    return node->app.ops->query(node->app.self, out, kv, snapshot, path);
}

static const char *app_code_text(uint32_t code)
{
    (void)code;
    return "code";
}

static void app_free(void *self)
{
    (void)self; /* the node frees the application itself */
}

void dsmr_sim_work_wrap_app(struct dsmr_sim_node *node)
{
    static const struct dsmr_app_ops ops = {.name = "simulated",
                                            .check = app_check,
                                            .genesis = app_genesis,
                                            .execute = app_execute,
                                            .query = app_query,
                                            .code_text = app_code_text,
                                            .free = app_free};
    node->app_wrapped = (struct dsmr_app){.self = node, .ops = &ops};
}
