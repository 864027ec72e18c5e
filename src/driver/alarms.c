/* alarms.c - conditions that a person must hear of: one line when one begins, one when it ends. The
 * same conditions are reasons of /health and metrics; nothing here is repeated while they last. */
#include "driver/driver_state.h"

static const struct {
    const char *module;
    const char *begins;
    const char *ends;
} sentences[DSMR_ALARMS] = {
    [DSMR_ALARM_STATE_SYNC] =
        {"exec",
         "a chunk that has to be executed is past its retention and was refused as pruned by more "
         "than a third of the weight: this node must begin from a newer state",
         "the chunks that nobody kept have come after all"},
};

static void set(struct dsmr_driver *driver, enum dsmr_alarm alarm, bool is_on)
{
    if (driver->alarms[alarm] == is_on)
        return;
    driver->alarms[alarm] = is_on;
    dsmr_driver_log(driver, is_on ? DSMR_LOG_ERROR : DSMR_LOG_INFO, sentences[alarm].module,
                    is_on ? sentences[alarm].begins : sentences[alarm].ends);
}

void dsmr_alarms_update(struct dsmr_driver *driver, const struct dsmr_query_status *status)
{
    set(driver, DSMR_ALARM_STATE_SYNC, status->needs_state_sync);
}
