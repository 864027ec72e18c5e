/* What is said of a run that failed: the nodes that the sentence names and the one in whose event
 * it was found, their heights, their last events; also of an assertion. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sim/sim_client.h"
#include "sim/sim_postmortem.h"
#include "sim/sim_state.h"

#define NODES 5u
#define LINES_MAX 64u

struct stage {
    struct dsmr_sim *sim;
    struct dsmr_sim_clients *clients;
    char text[DSMR_SIM_POSTMORTEM_BYTES];
};

/* Two seconds of a network with some load: everybody has sent, taken, stored and executed. */
static void begin(struct stage *stage)
{
    struct dsmr_sim_config config = {.seed = 3, .nodes = NODES};
    struct dsmr_sim_client_config load = {.seed = 4,
                                          .txs_per_s = 20,
                                          .tx_bytes = 100,
                                          .lifetime_ms_min = 20000,
                                          .lifetime_ms_max = 30000};
    stage->sim = dsmr_sim_new(&config);
    stage->clients = dsmr_sim_client_new(stage->sim, &load);
    dsmr_sim_pass(stage->sim, 2 * DSMR_SIM_SECOND_US);
    stage->sim->busy = UINT32_MAX;
}

static void end(struct stage *stage)
{
    dsmr_sim_client_free(stage->clients);
    dsmr_sim_free(stage->sim);
}

/* Those with a line "n3 at height ..."; nobody else's deed is told. */
static void assert_about(struct stage *stage, const bool *is_meant)
{
    char head[32], deed[32];
    dsmr_sim_postmortem(stage->sim, stage->text, sizeof(stage->text));
    for (uint32_t i = 0; i < NODES; i++) {
        snprintf(head, sizeof(head), "  n%u at height ", i);
        snprintf(deed, sizeof(deed), " s n%u ", i);
        assert_int_equal(strstr(stage->text, head) != NULL, is_meant[i]);
        assert_true(is_meant[i] || strstr(stage->text, deed) == NULL);
    }
}

static uint32_t count_lines(const char *text, const char *with)
{
    uint32_t count = 0;
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        const char *found = strstr(line, with);
        count += found != NULL && found < strchr(line, '\n');
    }
    return count;
}

static void test_nodes_that_the_sentence_names(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        bool is_meant[NODES];
    } cases[] = {
        {"node 3 signs a chunk of n1's slot 2 again", {false, true, false, true, false}},
        {"chain 4, in2, n7, n99999999999, node x, no 4: n0", {true}},
        {"nothing is named", {true, true, true, true, true}},
        {"n4", {false, false, false, false, true}},
        {"", {true, true, true, true, true}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stage stage;
        begin(&stage);
        dsmr_sim_fail(stage.sim, "6.4", "%s", cases[i].sentence);
        assert_about(&stage, cases[i].is_meant);
        end(&stage);
    }
}

static void test_node_whose_event_it_was(void **state)
{
    (void)state;
    struct stage stage;
    begin(&stage);
    stage.sim->busy = 2;
    dsmr_sim_fail(stage.sim, "9.6", "n0 is named");
    assert_about(&stage, (bool[NODES]){true, false, true});
    end(&stage);
}

static void test_last_events(void **state)
{
    (void)state;
    struct stage stage;
    double last_s = 0;
    begin(&stage);
    dsmr_sim_crash(stage.sim, 1);
    dsmr_sim_fail(stage.sim, "6.4", "node 1 and n3");
    dsmr_sim_postmortem(stage.sim, stage.text, sizeof(stage.text));
    assert_non_null(strstr(stage.text, "  n1 is down\n"));
    assert_int_equal(count_lines(stage.text, " s n"), DSMR_SIM_POSTMORTEM_DEEDS);
    for (const char *at = stage.text; (at = strstr(at, "\n    ")) != NULL; at++) {
        double at_s = strtod(at + 5, NULL);
        assert_true(at_s >= last_s && at_s > 1);
        last_s = at_s;
    }
    assert_true(count_lines(stage.text, "n1 is down") == 2); /* its state, and the deed */
    assert_true(count_lines(stage.text, " takes BFT_") > 0);
    assert_true(count_lines(stage.text, " sends ") > 0);
    assert_true(count_lines(stage.text, " has on disk ") > 0);
    end(&stage);
}

static void test_small_room(void **state)
{
    (void)state;
    struct stage stage;
    begin(&stage);
    dsmr_sim_fail(stage.sim, "6.4", "nobody");
    for (size_t capacity = 1; capacity < 400; capacity++) {
        memset(stage.text, 'x', sizeof(stage.text));
        dsmr_sim_postmortem(stage.sim, stage.text, capacity);
        assert_true(strlen(stage.text) < capacity);
        assert_int_equal(stage.text[capacity], 'x');
    }
    end(&stage);
}

/* ---- sentences of single deeds ---- */

struct lines {
    char texts[LINES_MAX][DSMR_SIM_STORY_LINE];
    uint32_t count;
};

static void keep(void *ctx, const char *line)
{
    struct lines *lines = ctx;
    assert_true(lines->count < LINES_MAX);
    snprintf(lines->texts[lines->count++], DSMR_SIM_STORY_LINE, "%s", line);
}

static struct dsmr_buf *vote_for(uint8_t kind)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_VOTE};
    msg.u.vote.subject = (struct dsmr_vote_subject){.epoch = 1, .view = 77, .kind = kind};
    if (kind != DSMR_VOTE_NULLIFY) {
        memset(msg.u.vote.subject.block_id.bytes, 0xab, 32);
        msg.u.vote.subject.height = 9;
    }
    struct dsmr_buf *bytes = dsmr_msg_encode(&msg, true);
    assert_non_null(bytes);
    return bytes;
}

static void test_sentences(void **state)
{
    (void)state;
    struct dsmr_sim_story *story = dsmr_sim_story_new(3, false);
    struct dsmr_buf *finalize = vote_for(DSMR_VOTE_FINALIZE), *nullify = vote_for(2);
    struct dsmr_buf *none = dsmr_buf_copy("\xff", 1);
    struct lines lines = {.count = 0};
    struct dsmr_id id;
    memset(&id, 0xcd, sizeof(id));
    dsmr_sim_story_sent(story, 1000, 0, 1, finalize); /* to two at once */
    dsmr_sim_story_sent(story, 1000, 0, 2, finalize);
    dsmr_sim_story_sent(story, 2000, 0, 2, finalize);
    dsmr_sim_story_sent(story, 2000, 0, 2, nullify);
    dsmr_sim_story_received(story, 3000, 1, 0, none);
    dsmr_sim_story_did(story, 4000, 2, "accepts block", &id, 5);
    dsmr_sim_story_fault(story, 5000, 2, "crash");
    assert_int_equal(
        dsmr_sim_story_tell(story, (bool[]){true, true, true}, LINES_MAX, keep, &lines), 6);
    assert_string_equal(lines.texts[0],
                        "0.001 s n0 sends BFT_VOTE FINALIZE block abababab view 77 to n1 n2");
    assert_string_equal(lines.texts[1],
                        "0.002 s n0 sends BFT_VOTE FINALIZE block abababab view 77 to n2");
    assert_string_equal(lines.texts[2],
                        "0.002 s n0 sends BFT_VOTE NULLIFY block 00000000 view 77 to n2");
    assert_string_equal(lines.texts[3], "0.003 s n1 takes 1 bytes of no message from n0");
    assert_string_equal(lines.texts[4], "0.004 s n2 accepts block cdcdcdcd height 5");
    assert_string_equal(lines.texts[5], "0.005 s n2 has a fault: crash");
    dsmr_buf_unref(finalize);
    dsmr_buf_unref(nullify);
    dsmr_buf_unref(none);
    dsmr_sim_story_free(story);
}

/* The oldest deeds give way; who asks for less gets the newest. */
static void test_ring_is_bounded(void **state)
{
    (void)state;
    struct dsmr_sim_story *story = dsmr_sim_story_new(2, false);
    struct lines lines = {.count = 0};
    for (uint32_t i = 1; i <= 3 * DSMR_SIM_STORY_DEEDS; i++) {
        dsmr_sim_story_did(story, i * 1000u, i % 2, "does", NULL, i);
    }
    uint32_t told = dsmr_sim_story_tell(story, (bool[]){false, true}, LINES_MAX, keep, &lines);
    assert_int_equal(told, DSMR_SIM_STORY_DEEDS);
    assert_string_equal(lines.texts[0], "0.033 s n1 does height 33");
    lines.count = 0;
    assert_int_equal(dsmr_sim_story_tell(story, (bool[]){true, true}, 2, keep, &lines), 2);
    assert_string_equal(lines.texts[0], "0.095 s n1 does height 95");
    assert_string_equal(lines.texts[1], "0.096 s n0 does height 96");
    dsmr_sim_story_free(story);
}

/* ---- an assertion ---- */

static void break_something(struct dsmr_sim *sim, void *ctx)
{
    (void)ctx;
    DSMR_ASSERT(sim == NULL);
}

static void test_assertion(void **state)
{
    (void)state;
    char text[DSMR_SIM_POSTMORTEM_BYTES] = "";
    int ends[2], status = 0;
    assert_int_equal(pipe(ends), 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct stage stage;
        signal(SIGABRT, SIG_DFL); /* not cmocka's */
        dup2(ends[1], STDOUT_FILENO);
        begin(&stage);
        dsmr_sim_postmortem_asserts(stage.sim);
        dsmr_sim_at(stage.sim, 3 * DSMR_SIM_SECOND_US, break_something, NULL);
        dsmr_sim_pass(stage.sim, 2 * DSMR_SIM_SECOND_US);
        _exit(0);
    }
    close(ends[1]);
    FILE *output = fdopen(ends[0], "r");
    assert_non_null(output);
    size_t len = fread(text, 1, sizeof(text) - 1, output);
    text[len] = '\0';
    fclose(output);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(text, "  assert at 3.000 s: sim == NULL, "));
    assert_non_null(strstr(text, "test_sim_postmortem.c:"));
    assert_int_equal(count_lines(text, " at height "), NODES);
    assert_int_equal(count_lines(text, " s n"), DSMR_SIM_POSTMORTEM_DEEDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nodes_that_the_sentence_names),
        cmocka_unit_test(test_node_whose_event_it_was),
        cmocka_unit_test(test_last_events),
        cmocka_unit_test(test_small_room),
        cmocka_unit_test(test_sentences),
        cmocka_unit_test(test_ring_is_bounded),
        cmocka_unit_test(test_assertion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
