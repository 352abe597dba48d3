/* The step "csr": a request that is for this key and this name need not be made again. */
#include "provisioning/step.h"

#include "base/file.h"
#include "base/reason.h"
#include "provisioning/csr.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int step_csr_check(Provision *provision, char *note)
{
    const ProvisionOptions *options = provision->options;
    _cleanup_(free_charp) char *path = NULL;
    _cleanup_(free_bytesp) uint8_t *text = NULL;
    size_t size = 0;
    int r;

    r = provision_key(provision);
    if (r < 0)
        return r;
    if (r == 0) {
        complain("there is no device key in %s to make a CSR for; run the step device-key first",
                 options->state_dir);
        return -ENOENT;
    }
    r = state_path(options, STATE_CSR, &path);
    if (r < 0)
        return r;
    if (file_read(path, CSR_SIZE_MAX, &text, &size) < 0 ||
        csr_flaw((Bytes){text, size}, device_key_public(provision->key), options->fqdn) != NULL)
        return 0;
    (void)snprintf(note, STEP_NOTE_SIZE, "for %.200s", options->fqdn);
    r = state_give(options, STATE_CSR);
    return r < 0 ? r : 1;
}

int step_csr_make(Provision *provision, char *note)
{
    const ProvisionOptions *options = provision->options;
    _cleanup_(free_charp) char *csr = NULL;
    Reason reason = {0};
    int r;

    r = csr_new(provision->key, options->fqdn, &csr, &reason);
    if (r < 0) {
        complain("%s", reason.text);
        return r;
    }
    (void)snprintf(note, STEP_NOTE_SIZE, "for %.200s", options->fqdn);
    return state_write(options, STATE_CSR, (Bytes){(const uint8_t *)csr, strlen(csr)}, 0644);
}
