#include "dsmr/types.h"

/* The smallest integer above 2/3 of the total is floor(2 * total / 3) + 1; divided before it is
 * multiplied, so that no total overflows. */
uint64_t dsmr_quorum_weight(uint64_t total_weight)
{
    return total_weight / 3u * 2u + total_weight % 3u * 2u / 3u + 1u;
}
