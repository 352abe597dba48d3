/* The SeGW's root certificates: with the operator's approval and guarded by the TPM, or without. */
#pragma once

#include "provisioning/command.h"

/* As provision_install_anchors(), for a factory that has the TPM open: tred is not asked. 0, or
 * -errno after a complaint. */
int anchors_install_direct(const ProvisionOptions *options, Tpm *tpm);

/* Is the bundle options->file in force, with the approval beside it, if it has one? 1, 0, or -errno
 * after a complaint. Finishes what a power cut has left half done. */
int anchors_in_force(const ProvisionOptions *options, Tpm *tpm);
