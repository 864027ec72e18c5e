/* byz_kinds.c - the list of liars. */
#include "sim/byz.h"

extern const struct dsmr_sim_byz_ops dsmr_sim_byz_equivocator;
extern const struct dsmr_sim_byz_ops dsmr_sim_byz_amnesiac;
extern const struct dsmr_sim_byz_ops dsmr_sim_byz_withholder;
extern const struct dsmr_sim_byz_ops dsmr_sim_byz_lazy;
extern const struct dsmr_sim_byz_ops dsmr_sim_byz_forger;
extern const struct dsmr_sim_byz_ops dsmr_sim_byz_flooder;
extern const struct dsmr_sim_byz_ops dsmr_sim_byz_warper;
extern const struct dsmr_sim_byz_ops dsmr_sim_byz_censor;
extern const struct dsmr_sim_byz_ops dsmr_sim_byz_stale;
extern const struct dsmr_sim_byz_ops dsmr_sim_byz_garbage;
extern const struct dsmr_sim_byz_ops dsmr_sim_byz_amplifier;
extern const struct dsmr_sim_byz_ops dsmr_sim_byz_voter;
extern const struct dsmr_sim_byz_ops dsmr_sim_byz_proposer;
extern const struct dsmr_sim_byz_ops dsmr_sim_byz_twins;
extern const struct dsmr_sim_byz_ops dsmr_sim_byz_canceller;
extern const struct dsmr_sim_byz_ops dsmr_sim_byz_shifter;

const struct dsmr_sim_byz_ops *const dsmr_sim_byz_kinds[] = {
    &dsmr_sim_byz_equivocator,
    &dsmr_sim_byz_amnesiac,
    &dsmr_sim_byz_withholder,
    &dsmr_sim_byz_lazy,
    &dsmr_sim_byz_forger,
    &dsmr_sim_byz_flooder,
    &dsmr_sim_byz_warper,
    &dsmr_sim_byz_censor,
    &dsmr_sim_byz_stale,
    &dsmr_sim_byz_garbage,
    &dsmr_sim_byz_amplifier,
    &dsmr_sim_byz_voter,
    &dsmr_sim_byz_proposer,
    &dsmr_sim_byz_twins,
    &dsmr_sim_byz_canceller,
    &dsmr_sim_byz_shifter,
    NULL,
};
