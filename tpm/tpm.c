/* What is known of a connection to the TPM, and the TPM's errors in words. */
#include "tpm/tpm.h"

#include <errno.h>
#include <string.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_sys.h>
#include <tss2/tss2_tctildr.h>

static const char *const algorithm_names[TPM_KEY_ALGORITHMS] = {
    [TPM_KEY_ECDSA_P256] = "ecdsa-p256",
    [TPM_KEY_ECDSA_P384] = "ecdsa-p384",
    [TPM_KEY_RSA_2048] = "rsa-2048",
};

const char *tpm_key_algorithm_name(TpmKeyAlgorithm algorithm)
{
    return algorithm < TPM_KEY_ALGORITHMS ? algorithm_names[algorithm] : "unknown";
}

int tpm_key_algorithm_from_name(const char *name, TpmKeyAlgorithm *ret)
{
    for (unsigned i = 0; i < TPM_KEY_ALGORITHMS; i++) {
        if (strcmp(name, algorithm_names[i]) == 0) {
            *ret = (TpmKeyAlgorithm)i;
            return 0;
        }
    }
    return -EINVAL;
}

static void held_replace(Tpm *tpm, TPM2_HANDLE old, TPM2_HANDLE new)
{
    for (size_t i = 0; i < ELEMENTS(tpm->held); i++) {
        if (tpm->held[i] == old) {
            tpm->held[i] = new;
            return;
        }
    }
}

void tpm_hold(Tpm *tpm, TPM2_HANDLE handle)
{
    held_replace(tpm, TPM_NO_HANDLE, handle);
}

void tpm_unhold(Tpm *tpm, TPM2_HANDLE handle)
{
    if (handle != TPM_NO_HANDLE)
        held_replace(tpm, handle, TPM_NO_HANDLE);
}

/* Format-one codes carry the number in bits 6 and 8 to 11. The kernel's and tpm2-abrmd's resource
 * managers answer in a layer of their own, but with the TPM's numbers. */
TSS2_RC tpm_rc_base(TSS2_RC rc)
{
    const TSS2_RC layer = rc & TSS2_RC_LAYER_MASK;

    if (layer != TSS2_RESMGR_TPM_RC_LAYER && layer != TSS2_TPM_RC_LAYER)
        return rc;
    rc &= ~TSS2_RC_LAYER_MASK;
    return rc & TPM2_RC_FMT1 ? rc & (TPM2_RC_FMT1 | 0x3f) : rc;
}

/* No TPM 2.0 answers with one, but to TPM 1.2's commands (TPM 2.0 Part 2, 6.6.2). */
static bool rc_is_version_1(TSS2_RC rc)
{
    return (rc & TSS2_RC_LAYER_MASK) == TSS2_TPM_RC_LAYER && !(rc & (TPM2_RC_VER1 | TPM2_RC_FMT1));
}

static const char *rc_remedy(TSS2_RC rc)
{
    static const char no_answer[] =
        "what came is no TPM 2.0's answer: something stands between it and us, or it is broken; "
        "have the device looked at";
    static const struct {
        TSS2_RC rc;
        const char *remedy;
    } remedies[] = {
        {TSS2_TCTI_RC_IO_ERROR,
         "the connection to the TPM broke: see whether what stands behind it is running"},
        {TSS2_TCTI_RC_MALFORMED_RESPONSE, no_answer},
        {TSS2_SYS_RC_MALFORMED_RESPONSE, no_answer},
        {TSS2_SYS_RC_INSUFFICIENT_RESPONSE, no_answer},
        {TSS2_MU_RC_BAD_VALUE, no_answer},
        {TSS2_MU_RC_INSUFFICIENT_BUFFER, no_answer},
        {TPM_RC_ANSWER_REFUSED,
         "the TPM's answer was changed on its way, or made by somebody else: "
         "something stands between it and us; have the device looked at"},
        {TPM_RC_NO_MEMORY,
         "there is no memory left, or none may be locked for keys: raise the limit "
         "(LimitMEMLOCK= of a unit, ulimit -l in a shell)"},
        {TPM2_RC_INITIALIZE, "the TPM has not been started: firmware does that at power-on, "
                             "'tpm2_startup -c' on a simulator"},
        {TPM2_RC_FAILURE,
         "the TPM is in failure mode: power-cycle the device; if it stays, the TPM "
         "is broken"},
        {TPM2_RC_OBJECT_MEMORY, "all of the TPM's transient slots are taken: use /dev/tpmrm0, or "
                                "free them with 'tpm2_flushcontext -t'"},
        {TPM2_RC_SESSION_MEMORY, "all of the TPM's sessions are taken: use /dev/tpmrm0, or free "
                                 "them with 'tpm2_flushcontext -l'"},
        {TPM2_RC_SESSION_HANDLES,
         "all of the TPM's session handles are taken: end the program that "
         "saves sessions, or free them with 'tpm2_flushcontext -s'"},
        {TPM2_RC_CONTEXT_GAP, "a saved session is too old for the TPM to make new ones: end the "
                              "program that saved it, or free it with 'tpm2_flushcontext -s'"},
        {TPM2_RC_LOCKOUT, "the TPM is in dictionary-attack lockout: wait, or end it with "
                          "'tpm2_dictionarylockout -c'"},
        {TPM2_RC_NV_SPACE,
         "the TPM's NV memory is full: list what it holds with 'tpm2_getcap "
         "handles-nv-index' and 'tpm2_getcap handles-persistent', and remove what "
         "is not used with 'tpm2_nvundefine INDEX' and 'tpm2_evictcontrol -c "
         "HANDLE'"},
        {TPM2_RC_BAD_AUTH, "a password is set where none is expected (owner hierarchy, storage "
                           "root key or device key): remove it; if there is none, what went "
                           "between the TPM and us was changed: have the device looked at"},
        {TPM2_RC_AUTH_FAIL, "a password is set where none is expected (owner hierarchy, storage "
                            "root key or device key): remove it"},
        {TPM2_RC_INTEGRITY, "the key was not made under this TPM's storage root key (another TPM, "
                            "or this one was cleared): make a new one with 'tre-provision init'"},
        {TPM2_RC_CURVE, "this TPM does not have that curve: choose another key algorithm"},
    };

    for (size_t i = 0; i < ELEMENTS(remedies); i++) {
        if (tpm_rc_base(rc) == remedies[i].rc)
            return remedies[i].remedy;
    }
    return rc_is_version_1(rc) ? no_answer : NULL;
}

void tpm_error(Reason *reason, const char *command, TSS2_RC rc)
{
    const char *remedy = rc_remedy(rc);

    reason_set(reason, 0, "%.80s: %.200s (0x%08x)%s%s", command, Tss2_RC_Decode(rc), rc,
               remedy ? "; " : "", remedy ? remedy : "");
}

/* In the thread that waits for the TPM, and so not in the middle of a command. */
static void tcti_finalize(void *userdata)
{
    Tpm *tpm = userdata;

    Tss2_TctiLdr_Finalize(&tpm->tcti);
}

void tpm_disconnect(Tpm *tpm)
{
    tpm->broken = true;
    (void)tpm_loop_run(tpm->loop, tcti_finalize, tpm, true);
}

Tpm *tpm_ref(Tpm *tpm)
{
    tpm->n_references++;
    return tpm;
}

void tpm_close(Tpm *tpm)
{
    if (!tpm || (tpm->n_references > 0 && --tpm->n_references > 0))
        return;
    Tss2_TctiLdr_Finalize(&tpm->tcti);
    EVP_PKEY_free(tpm->salt_pkey);
    tpm_crypto_free(tpm->crypto);
    free(tpm);
}
