#include "sim/sim_postmortem.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/sim_state.h"
#include "sim/sim_story.h"

#define LEVELS_MAX 8u /* nodes whose heights are told */

struct report {
    char *text;
    size_t len, capacity;
};

static void put(struct report *report, const char *words)
{
    size_t len = strlen(words);
    if (report->len + len < report->capacity) {
        memcpy(report->text + report->len, words, len + 1);
        report->len += len;
    }
}

static void put_line(void *ctx, const char *line)
{
    put(ctx, "    ");
    put(ctx, line);
    put(ctx, "\n");
}

/* ---- whom it is about ---- */

/* The number behind "node " or "n" at the beginning of a word; false: none there. */
static bool read_node(const char *at, const char *begin, uint32_t *number)
{
    size_t skip = strncmp(at, "node ", 5) == 0 ? 5 : 1;
    char *end = NULL;
    if (at[0] != 'n' || (at > begin && isalnum((unsigned char)at[-1])) ||
        !isdigit((unsigned char)at[skip])) {
        return false;
    }
    unsigned long value = strtoul(at + skip, &end, 10);
    *number = (uint32_t)value;
    return value < UINT32_MAX && !isalnum((unsigned char)*end);
}

/* Marks them; returns how many. */
static uint32_t find_nodes(const struct dsmr_sim *sim, bool *is_meant)
{
    uint32_t number, count = 0;
    memset(is_meant, 0, sim->bodies);
    for (const char *at = sim->failure; *at != '\0'; at++) {
        if (read_node(at, sim->failure, &number) && number < sim->bodies) {
            is_meant[number] = true;
        }
    }
    if (sim->busy < sim->bodies) {
        is_meant[sim->busy] = true;
    }
    for (uint32_t i = 0; i < sim->bodies; i++) {
        count += is_meant[i];
    }
    for (uint32_t i = 0; count == 0 && i < sim->bodies; i++) {
        is_meant[i] = true;
    }
    return count == 0 ? sim->bodies : count;
}

/* ---- what is said ---- */

static void say_level(struct report *report, struct dsmr_sim *sim, uint32_t node)
{
    char words[128];
    struct dsmr_query_status status;
    const char *kind = sim->nodes[node].byz == NULL ? "" : ", a liar";
    if (!dsmr_sim_is_up(sim, node)) {
        snprintf(words, sizeof(words), "  n%u is down%s\n", node, kind);
    } else {
        dsmr_sim_status(sim, node, &status);
        snprintf(words, sizeof(words), "  n%u at height %llu, executed %llu, view %llu%s\n", node,
                 (unsigned long long)status.height, (unsigned long long)status.executed_height,
                 (unsigned long long)status.view, kind);
    }
    put(report, words);
}

void dsmr_sim_postmortem(struct dsmr_sim *sim, char *text, size_t capacity)
{
    static bool is_meant[DSMR_SIM_NODES_MAX + DSMR_SIM_TWINS_MAX];
    struct report report = {.text = text, .capacity = capacity};
    text[0] = '\0';
    uint32_t count = find_nodes(sim, is_meant), told = 0;
    for (uint32_t i = 0; i < sim->bodies && told < LEVELS_MAX; i++) {
        if (is_meant[i]) {
            say_level(&report, sim, i);
            told++;
        }
    }
    put(&report, count > 1 ? "  their last events:\n" : "  its last events:\n");
    (void)dsmr_sim_story_tell(sim->story, is_meant, DSMR_SIM_POSTMORTEM_DEEDS, put_line, &report);
}

/* ---- assertions ---- */

static struct dsmr_sim *asserted;

static void on_assert(const char *condition, const char *file, int line)
{
    static char text[DSMR_SIM_POSTMORTEM_BYTES];
    struct dsmr_sim *sim = asserted;
    dsmr_sim_fail(sim, "assert", "%s, %s:%d", condition, file, line);
    dsmr_sim_postmortem(sim, text, sizeof(text));
    printf("  %s\n%s", dsmr_sim_failure(sim), text);
    fflush(stdout);
}

void dsmr_sim_postmortem_asserts(struct dsmr_sim *sim)
{
    asserted = sim;
    dsmr_assert_set_hook(sim == NULL ? NULL : on_assert);
}
