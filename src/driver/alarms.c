/* alarms.c - conditions that a person must hear of: one line when one begins, one when it ends. The
 * same conditions are reasons of /health and metrics; nothing here is repeated while they last. */
#include "driver/driver_state.h"

static const struct {
    enum dsmr_log_level level;
    const char *module;
    const char *begins;
    const char *ends;
} sentences[DSMR_ALARMS] = {
    [DSMR_ALARM_STATE_SYNC] =
        {DSMR_LOG_ERROR, "exec",
         "a chunk that has to be executed is past its retention and was refused as pruned by more "
         "than a third of the weight: this node must begin from a newer state",
         "the chunks that nobody kept have come after all"},
    [DSMR_ALARM_UNSERVED] =
        {DSMR_LOG_WARN, "exec",
         "this node accepts blocks and executes none: it is in no validator set that it knows, and "
         "chunks are served to validators only; it goes on when it is one (send clients to a "
         "validator)",
         "this node gets the chunks that it waited for"},
    [DSMR_ALARM_FINAL_REFUSED] =
        {DSMR_LOG_ERROR, "consensus",
         "a block is final and this node cannot take it yet, again and again: its clock may be "
         "behind, or its disk late (dsmr_errors_total has the reason)",
         "the final block that could not be taken has been taken"},
    [DSMR_ALARM_FLOOR] =
        {DSMR_LOG_WARN, "main",
         "this node signs no chunk yet, its own included: its journal was made while the chain ran "
         "already, and slots in which its key may have signed before are not over (that takes a "
         "second, if its clock is right)",
         "the slots in which this node's key may have signed before are over: it signs chunks"},
    [DSMR_ALARM_CLOCK] = {DSMR_LOG_WARN, "main",
                          "this node's clock is further from the other validators' than the chain "
                          "allows: its chunks or their blocks will be refused",
                          "this node's clock agrees with the other validators'"},
};

static void set(struct dsmr_driver *driver, enum dsmr_alarm alarm, bool is_on)
{
    if (driver->alarms[alarm] == is_on)
        return;
    driver->alarms[alarm] = is_on;
    dsmr_driver_log(driver, is_on ? sentences[alarm].level : DSMR_LOG_INFO, sentences[alarm].module,
                    is_on ? sentences[alarm].begins : sentences[alarm].ends);
}

void dsmr_alarms_on_verdict(struct dsmr_driver *driver)
{
    struct dsmr_bft_refusal refusal;
    dsmr_bft_refused_final(driver->bft, &refusal);
    if (refusal.err != DSMR_OK)
        dsmr_metrics_add(driver->config.metrics, DSMR_METRIC_FINAL_REFUSED, 1);
    /* To retry for ever would leave the chain in silence, to accept would leave the rules. */
    if (dsmr_err_class_of(refusal.err) == DSMR_ERR_CLASS_PEER)
        dsmr_driver_halt(driver, DSMR_ERR_HALTED,
                         "a block is final that this node finds invalid: it must not follow that "
                         "chain (dsmr_errors_total has the reason; is its genesis the others'?)");
    set(driver, DSMR_ALARM_FINAL_REFUSED, refusal.times >= DSMR_DRIVER_REFUSALS_MAX);
}

void dsmr_alarms_update(struct dsmr_driver *driver, const struct dsmr_query_status *status)
{
    set(driver, DSMR_ALARM_STATE_SYNC, status->needs_state_sync);
    set(driver, DSMR_ALARM_UNSERVED, status->is_unserved);
    set(driver, DSMR_ALARM_FLOOR, status->is_under_floor);
    /* It ends at half of what began it: a clock at the border is not worth a line each second. */
    int64_t skew_ms = driver->config.node.params.clock_skew_ms;
    skew_ms = driver->alarms[DSMR_ALARM_CLOCK] ? skew_ms / 2 : skew_ms;
    set(driver, DSMR_ALARM_CLOCK,
        status->clock_offset_ms > skew_ms || status->clock_offset_ms < -skew_ms);
}
