/* check_all.c - the list of promises. */
#include "sim/check.h"

extern const struct dsmr_sim_checker_ops dsmr_sim_check_agreement;

const struct dsmr_sim_checker_ops *const dsmr_sim_check_all[] = {
    &dsmr_sim_check_agreement,
    NULL,
};
