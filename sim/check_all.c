/* check_all.c - the list of promises. */
#include "sim/check.h"

extern const struct dsmr_sim_checker_ops dsmr_sim_check_agreement;
extern const struct dsmr_sim_checker_ops dsmr_sim_check_blocks;
extern const struct dsmr_sim_checker_ops dsmr_sim_check_certs;
extern const struct dsmr_sim_checker_ops dsmr_sim_check_shares;
extern const struct dsmr_sim_checker_ops dsmr_sim_check_votes;
extern const struct dsmr_sim_checker_ops dsmr_sim_check_availability;
extern const struct dsmr_sim_checker_ops dsmr_sim_check_transactions;
extern const struct dsmr_sim_checker_ops dsmr_sim_check_supply;
extern const struct dsmr_sim_checker_ops dsmr_sim_check_certified;
extern const struct dsmr_sim_checker_ops dsmr_sim_check_evidence;
extern const struct dsmr_sim_checker_ops dsmr_sim_check_limits;
extern const struct dsmr_sim_checker_ops dsmr_sim_check_builder;

const struct dsmr_sim_checker_ops *const dsmr_sim_check_all[] = {
    &dsmr_sim_check_agreement,
    &dsmr_sim_check_blocks,
    &dsmr_sim_check_certs,
    &dsmr_sim_check_shares,
    &dsmr_sim_check_votes,
    &dsmr_sim_check_availability,
    &dsmr_sim_check_transactions,
    &dsmr_sim_check_supply,
    &dsmr_sim_check_certified,
    &dsmr_sim_check_evidence,
    &dsmr_sim_check_limits,
    &dsmr_sim_check_builder,
    NULL,
};
