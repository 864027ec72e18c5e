/* dsmr.h - everything of libdsmr. */
#ifndef DSMR_DSMR_H
#define DSMR_DSMR_H

#include "dsmr/buf.h"
#include "dsmr/effect.h"
#include "dsmr/err.h"
#include "dsmr/event.h"
#include "dsmr/limits.h"
#include "dsmr/node.h"
#include "dsmr/types.h"

#endif
