/* The steps "check-tpm", "storage-root-key" and "lock": whether a device key can live in this TPM,
 * the key above it, and the owner hierarchy's authorization value, without which root on the device
 * can't take the TPM's NV indices away and define them anew. */
#include "base/reason.h"
#include "crypto/openssl.h"
#include "policy/anchorguard.h"
#include "policy/lastknowntime.h"
#include "policy/tss2key.h"
#include "provisioning/devicefiles.h"
#include "provisioning/devicetpm.h"
#include "provisioning/endorsement.h"
#include "provisioning/lineinput.h"
#include "provisioning/step.h"
#include "tpm/commands.h"
#include "tpm/open.h"
#include "tpm/session.h"
#include "tpm/storagekey.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

/* 1 if the storage root key is there and fits, 0 if there is none, -errno after a complaint. */
static int srk_look(Provision *provision)
{
    Reason reason = {0};
    int r = srk_fits(provision->tpm, &reason);

    if (r == -ENOENT)
        return 0;
    if (r < 0)
        complain("%s", reason.text);
    return r < 0 ? r : 1;
}

/* What there must be room for depends on what is there already. */
static int room_check(const TpmFacts *facts, bool srk_there)
{
    if (!srk_there && facts->persistent_free == 0) {
        complain("this TPM has no room for the storage root key: list what it holds with "
                 "'tpm2_getcap handles-persistent' and remove what is not used with "
                 "'tpm2_evictcontrol -c HANDLE'");
        return -ENOSPC;
    }
    if (!srk_there && facts->owner_auth_set) {
        complain(
            "this TPM has no storage root key, and its owner hierarchy has a password, so "
            "none can be made: take the password away ('tpm2_changeauth -c o -p PASSWORD'), or "
            "clear the TPM ('tpm2_clear', which destroys all keys in it)");
        return -EPERM;
    }
    return 0;
}

static int indices_check(Provision *provision, const TpmFacts *facts)
{
    _cleanup_(policy_key_deinit) PolicyKey operator_key = {0};
    Reason reason = {"out of memory"};
    int r =
        policy_key_read(provision->options->profile->operator_key, false, &operator_key, &reason);

    if (r == 0)
        r = guard_indices_missing(provision->tpm, &operator_key, &reason);
    if (r > 0 && facts->owner_auth_set) {
        r = reason_set(&reason, -EPERM,
                       "this TPM has no NV indices for the anchors' guard and the last-known time, "
                       "and its owner hierarchy has a password, so none can be made: take the "
                       "password away ('tpm2_changeauth -c o -p PASSWORD'), or clear the TPM "
                       "('tpm2_clear', which destroys all keys in it)");
    }
    if (r > 0)
        r = guard_indices_try(provision->tpm, &operator_key, &reason);
    if (r < 0)
        complain("%s", reason.text);
    return r;
}

/* No TPM tells how many octets its NV memory has left, so they are tried; how many counters it has
 * room for, it tells. */
static int nv_room_check(Provision *provision, const TpmFacts *facts)
{
    const ProvisionProfile *profile = provision->options->profile;
    Reason reason = {0};
    time_t known;

    if (!profile || !profile->operator_key)
        return 0;
    if (!facts->counters_known || facts->counters_free > 0 ||
        last_known_time_read(provision->tpm, &known, &reason) != -ENOENT)
        return indices_check(provision, facts);
    complain("this TPM has no room for the NV indices of the anchors' guard and the last-known "
             "time: list what it holds with 'tpm2_getcap handles-nv-index' and remove what is not "
             "used with 'tpm2_nvundefine INDEX'");
    return -ENOSPC;
}

/* A device that is to be certified must be able to prove which TPM it has; another need not. */
static int ek_certificate_look(Provision *provision)
{
    const ProvisionOptions *options = provision->options;
    char hash[SHA256_HEX_SIZE] = "";
    Reason reason = {0};
    const char *serial;
    int r = endorsement_certificate_read(provision->tpm, &provision->ek_certificate, &reason);

    if (r == -ENOENT && !(options->profile && options->profile->ca_key))
        return 0;
    if (r < 0) {
        complain("%s", reason.text);
        return r;
    }
    (void)certificate_hash_hex(provision->ek_certificate, hash);
    serial = options->roster ? roster_tpm_owner(options->roster, hash) : NULL;
    if (!serial || (options->serial && strcmp(serial, options->serial) == 0))
        return 0;
    complain("this TPM is that of the device %s, which was provisioned before; connect the device "
             "%s, or mend its TCTI",
             serial, options->serial);
    return -EEXIST;
}

int step_tpm_check(Provision *provision, char *note)
{
    Reason reason = {0};
    TpmFacts facts;
    int r;

    r = tpm_facts_read(provision->tpm, &facts, &reason);
    if (r == 0)
        r = tpm_profile_check(provision->tpm, provision->options->algorithm, &reason);
    if (r < 0) {
        complain("%s", reason.text);
        return r;
    }
    provision->tpm_checked = true;
    r = srk_look(provision);
    if (r < 0)
        return r;
    r = room_check(&facts, r > 0);
    if (r == 0)
        r = nv_room_check(provision, &facts);
    if (r == 0)
        r = ek_certificate_look(provision);
    if (r < 0)
        return r;
    (void)snprintf(note, STEP_NOTE_SIZE,
                   "%s, firmware %u.%u, room for %u persistent objects, %s EK certificate",
                   facts.manufacturer, facts.firmware_major >> 16, facts.firmware_major & 0xffff,
                   facts.persistent_free, provision->ek_certificate ? "an" : "no");
    return 1;
}

/* 1 if the file with the storage root key's Name is there and right, 0 if not, -errno after a
 * complaint. */
static int name_look(Provision *provision)
{
    _cleanup_(free_charp) char *path = NULL;
    Reason reason = {0};
    TPM2B_NAME name, written;
    int r;

    r = state_path(provision->options, STATE_SRK_NAME, &path);
    if (r < 0)
        return r;
    r = tpm_srk_name(provision->tpm, &name, &reason);
    if (r < 0) {
        complain("%s", reason.text);
        return r;
    }
    return srk_name_read(path, &written, &reason) == 0 &&
           bytes_equal((Bytes){name.name, name.size}, (Bytes){written.name, written.size});
}

int step_srk_check(Provision *provision, char *note)
{
    int r = srk_look(provision);

    (void)snprintf(note, STEP_NOTE_SIZE, "0x%08x", TPM_SRK_HANDLE);
    return r <= 0 ? r : name_look(provision);
}

static int name_store(Provision *provision)
{
    Reason reason = {0};
    char text[SRK_NAME_TEXT_SIZE];
    TPM2B_NAME name;
    int r = tpm_srk_name(provision->tpm, &name, &reason);

    if (r < 0) {
        complain("%s", reason.text);
        return r;
    }
    srk_name_print(&name, text);
    return state_write(provision->options, STATE_SRK_NAME,
                       (Bytes){(const uint8_t *)text, strlen(text)}, 0644);
}

int step_srk_make(Provision *provision, char *note)
{
    Reason reason = {0};
    TpmObject srk = {0};
    int r = tpm_srk_open(provision->tpm, true, &srk, &reason);

    (void)note;
    tpm_object_release(provision->tpm, &srk);
    if (r < 0)
        complain("%s", reason.text);
    return r < 0 ? r : name_store(provision);
}

enum { AUTH_SIZE = 32 };

int step_lock_check(Provision *provision, char *note)
{
    Reason reason = {0};
    bool locked = false;
    int r = anchor_guard_is_locked(provision->tpm, &locked, &reason);

    (void)snprintf(note, STEP_NOTE_SIZE,
                   "the owner hierarchy has an authValue that is not known here");
    if (r < 0) {
        complain("%s", reason.text);
        return r;
    }
    return locked ? 1 : 0;
}

/* The session encrypts the new value: who listens on the TPM's bus does not learn it. One that is
 * salted with no storage root key would encrypt nothing. */
static int auth_change(Tpm *tpm, const TPM2B_AUTH *auth, Reason *reason)
{
    TpmSession *session = NULL;
    TSS2_RC rc;
    int r;

    r = tpm_session_start(tpm, TPM2_SE_HMAC, &session, reason);
    if (r < 0)
        return r;
    if (!session->key) {
        tpm_session_flush(tpm, session);
        return reason_set(reason, -ENOKEY,
                          "this TPM has no storage root key, so that the owner's new authValue "
                          "would go over its bus in clear; run the step storage-root-key first");
    }
    rc = tpm2_hierarchy_change_auth(tpm, TPM2_RH_OWNER, session, auth);
    tpm_session_flush(tpm, session);
    if (rc == TSS2_RC_SUCCESS)
        return 0;
    tpm_error(reason, "TPM2_HierarchyChangeAuth (owner)", rc);
    return -EIO;
}

int step_lock_do(Provision *provision, char *note)
{
    Reason reason = {"OpenSSL has no random numbers"};
    TPM2B_AUTH auth = {.size = AUTH_SIZE};
    int r = -EIO;

    (void)note;
    if (RAND_priv_bytes(auth.buffer, AUTH_SIZE) == 1)
        r = auth_change(provision->tpm, &auth, &reason);
    OPENSSL_cleanse(&auth, sizeof(auth));
    if (r < 0)
        complain("%s", reason.text);
    return r;
}
