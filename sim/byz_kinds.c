/* byz_kinds.c - the list of liars. */
#include "sim/byz.h"

extern const struct dsmr_sim_byz_ops dsmr_sim_byz_equivocator;
extern const struct dsmr_sim_byz_ops dsmr_sim_byz_garbage;

const struct dsmr_sim_byz_ops *const dsmr_sim_byz_kinds[] = {
    &dsmr_sim_byz_equivocator,
    &dsmr_sim_byz_garbage,
    NULL,
};
