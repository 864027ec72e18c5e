#include "app/cli_load_shape.h"

#define SECOND_US 1000000u

/* ---- evenly ---- */

static uint64_t even_meant_us(uint64_t rate, uint64_t index)
{
    return index / rate * SECOND_US + index % rate * SECOND_US / rate;
}

static uint64_t even_due(uint64_t rate, uint64_t until_us)
{
    return until_us / SECOND_US * rate + (until_us % SECOND_US * rate + SECOND_US - 1) / SECOND_US;
}

/* ---- in periods ---- */

static uint64_t lonely_due(const struct dsmr_cli_load_shape *shape, uint64_t until_us)
{
    return until_us > 0 ? (until_us - 1) / shape->lonely_us : 0;
}

uint64_t dsmr_cli_load_shape_due(const struct dsmr_cli_load_shape *shape, uint64_t until_us)
{
    if (shape->idle_us == 0) {
        return even_due(shape->rate, until_us);
    }
    uint64_t lonely = lonely_due(shape, shape->idle_us);
    uint64_t all = lonely + even_due(shape->rate, shape->burst_us);
    uint64_t period_us = shape->idle_us + shape->burst_us;
    uint64_t before = until_us / period_us * all;
    uint64_t at_us = until_us % period_us;
    return at_us <= shape->idle_us
               ? before + lonely_due(shape, at_us)
               : before + lonely + even_due(shape->rate, at_us - shape->idle_us);
}

uint64_t dsmr_cli_load_shape_meant_us(const struct dsmr_cli_load_shape *shape,
                                      enum dsmr_cli_load_part *part, uint64_t index)
{
    *part = DSMR_CLI_LOAD_PART_EVEN;
    if (shape->idle_us == 0) {
        return even_meant_us(shape->rate, index);
    }
    uint64_t lonely = lonely_due(shape, shape->idle_us);
    uint64_t all = lonely + even_due(shape->rate, shape->burst_us);
    uint64_t begin_us = index / all * (shape->idle_us + shape->burst_us);
    uint64_t at = index % all;
    if (at < lonely) {
        *part = DSMR_CLI_LOAD_PART_IDLE;
        return begin_us + (at + 1) * shape->lonely_us;
    }
    uint64_t into_us = even_meant_us(shape->rate, at - lonely);
    *part =
        into_us < DSMR_CLI_LOAD_SHAPE_FIRST_US ? DSMR_CLI_LOAD_PART_FIRST : DSMR_CLI_LOAD_PART_REST;
    return begin_us + shape->idle_us + into_us;
}
