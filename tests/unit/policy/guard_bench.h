/* The anchors' guard in the TPM of a test program, written to and looked at. */
#pragma once

#include "anchor_fixture.h"
#include "base/reason.h"
#include "tpm_bench.h"

/* What the last call had to say. */
extern Reason reason;

/* A teardown: the next test finds no index. */
int guard_remove(void **state);

/* A new operator whose guard is in the TPM, unwritten. The caller's to policy_key_deinit(). */
PolicyKey defined_for(const char *type);

/* Writes a bundle with a fresh approval by that operator; as anchor_guard_write(). */
int write_as(const PolicyKey *operator_key, AnchorWrite write, const char *bundle,
             uint64_t version);
void assert_written(const PolicyKey *operator_key, AnchorWrite write, const char *bundle,
                    uint64_t version);

/* The guard holds this bundle in this version. */
void assert_holds(const char *bundle, uint64_t version);
