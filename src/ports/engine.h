/* engine.h - where the block layer meets consensus.
 *
 * Why:     two engines stand behind one door: the built-in BFT engine and AvalancheGo. An engine
 *          asks for build, verify, accept, reject and preference, and is told when there is
 *          something to build. It may verify several siblings, reject some, verify one block again
 *          with another context, and restart from an older block.
 * Threads: all calls on the logic thread; an adapter with threads of its own comes as a task. */
#ifndef DSMR_PORTS_ENGINE_H
#define DSMR_PORTS_ENGINE_H

#include "dsmr/types.h"

/* What the engine is told. Answers carry the request_id of the call. Blocks are borrowed.
 *
 * Answers: each build, verify and accept gets exactly one, until the driver halts. A halted driver
 *          answers nothing: neither what is asked from then on nor what was asked before. Its owner
 *          sees that by dsmr_driver_halted and ends; an adapter whose callers wait lets them go
 *          then. (A restart begins at the engine's own pointer: nothing of it is lost.)
 * Ready:   is about what this node could put into a block, and no promise that a build succeeds:
 *          whether the set of the context is there (NOT_YET), whether the disk keeps up (BUSY) and
 *          whether the parent is known is found out by the build. It is told only when it changes:
 *          it stays true while builds are refused, and is not told again when the reason is gone.
 *          While it is true an adapter asks again, after a pause that grows; at once it would ask
 *          in a circle. */
struct dsmr_engine_ops {
    /* OK with a block. NOTHING_TO_BUILD: wait for `ready`, or ask after a pause while it is true.
     * Others: after a pause. */
    void (*built)(void *self, uint64_t request_id, enum dsmr_err err, struct dsmr_block *block);
    /* NOT_YET, BUSY and the other errors of class STATE or LOCAL: ask again. BUSY also holds an
     * engine back that accepts faster than the disk writes; an accept itself is not refused. */
    void (*verdict)(void *self, uint64_t request_id, enum dsmr_err err);
    void (*accepted)(void *self, uint64_t request_id, enum dsmr_err err); /* durable */
    void (*ready)(void *self, bool is_ready); /* something to build on the preference */
};
struct dsmr_engine {
    void *self;
    const struct dsmr_engine_ops *ops;
};

/* The block that the engine holds for the last accepted one, on its own disk. The node's may know
 * more: it was told first. */
struct dsmr_engine_tip {
    uint64_t height; /* 0: genesis */
    struct dsmr_id block_id;
};

/* What the engine asks; implemented by the driver. Each from a task, or in answer to what the
 * engine is told: what follows is done when the task is over. */
struct dsmr_driver;
/* context: the epoch of the new block, DSMR_EPOCH_NONE without one. */
void dsmr_driver_build(struct dsmr_driver *driver, uint64_t request_id,
                       const struct dsmr_id *parent_id, uint64_t context);
void dsmr_driver_verify(struct dsmr_driver *driver, uint64_t request_id, struct dsmr_block *block,
                        uint64_t context);
void dsmr_driver_accept(struct dsmr_driver *driver, uint64_t request_id,
                        const struct dsmr_id *block_id);
void dsmr_driver_reject(struct dsmr_driver *driver, const struct dsmr_id *block_id);
void dsmr_driver_prefer(struct dsmr_driver *driver, const struct dsmr_id *block_id);
/* The set of epoch, for which the validators port had no answer, is there (ports/validators.h). */
void dsmr_driver_set_available(struct dsmr_driver *driver, uint64_t epoch);
/* Whether the node has made its share of ref, and the share: who may hand out a signature of it
 * asks here. */
bool dsmr_driver_has_shared(const struct dsmr_driver *driver, struct dsmr_bls_sig *share,
                            const struct dsmr_reference *ref);
/* The engine catches up with blocks that are already decided: neither sign nor build. */
void dsmr_driver_set_bootstrapping(struct dsmr_driver *driver, bool is_bootstrapping);

#endif
