/* Connecting to the TPM, and its errors in words. */
#include "tpm/tpm.h"

#include "tpm/commands.h"
#include "tpm/meter.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>

#define DEVICE_TCTI "device:"
#define DEVICE_TCTI_DEFAULT "/dev/tpm0"
#define DEVICE_RAW "/dev/tpm" /* and a number; the resource manager's are /dev/tpmrm0, … */

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
        {TPM2_RC_NV_SPACE, "the TPM has no room for a persistent object: remove one that is not "
                           "used with 'tpm2_evictcontrol'"},
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

/* The device file of a TCTI string, or NULL for another TCTI. */
static const char *device_path(const char *tcti)
{
    if (strcmp(tcti, "device") == 0)
        return DEVICE_TCTI_DEFAULT;
    if (strncmp(tcti, DEVICE_TCTI, strlen(DEVICE_TCTI)) == 0)
        return tcti + strlen(DEVICE_TCTI);
    return NULL;
}

/* The TCTI says no more than "IO failure", so the device is asked why. Also keeps commands from
 * being written into a regular file that somebody named by mistake. */
static int device_check(const char *path, Reason *reason)
{
    struct stat status;
    int fd;

    if (stat(path, &status) == 0 && !S_ISCHR(status.st_mode)) {
        return reason_set(
            reason, -ENODEV,
            "%.200s is not a TPM device; the TCTI names one, such as device:/dev/tpmrm0", path);
    }
    fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd >= 0) {
        (void)close(fd);
        return 0;
    }
    switch (errno) {
    case EACCES:
    case EPERM:
        return reason_set(reason, -EACCES,
                          "no permission to use %.200s; run as a member of its group (usually tss)",
                          path);
    case EBUSY:
        return reason_set(reason, -EBUSY,
                          "%.200s is in use by another program; use the kernel's resource manager, "
                          "/dev/tpmrm0, or end that program",
                          path);
    default:
        return reason_set(
            reason, -ENODEV,
            "there is no TPM at %.200s: %s; is it enabled in the firmware, and its driver "
            "loaded?",
            path, strerror(errno));
    }
}

/* True where no resource manager stands between: a simulator takes one connection at a time, and
 * the kernel gives its raw device to one program. */
static bool tcti_is_exclusive(const char *tcti)
{
    const char *path = device_path(tcti);

    if (path) {
        return strncmp(path, DEVICE_RAW, strlen(DEVICE_RAW)) == 0 &&
               path[strlen(DEVICE_RAW)] >= '0' && path[strlen(DEVICE_RAW)] <= '9';
    }
    return strncmp(tcti, "swtpm", strlen("swtpm")) == 0 ||
           strncmp(tcti, "mssim", strlen("mssim")) == 0;
}

typedef struct Opening {
    const char *tcti;
    Tpm *tpm;
    TSS2_RC rc;
} Opening;

/* In the thread that waits for the TPM, as whatever the TCTI connects to may be slow as well. */
static void tcti_initialize(void *userdata)
{
    Opening *opening = userdata;

    opening->rc = Tss2_TctiLdr_Initialize(opening->tcti, &opening->tpm->tcti);
}

static int tcti_open(const char *tcti, Tpm *tpm, Reason *reason)
{
    Opening opening = {.tcti = tcti, .tpm = tpm};
    const char *path = device_path(tcti);
    int r;

    if (path) {
        r = device_check(path, reason);
        if (r < 0)
            return r;
    }
    r = tpm_loop_run(tpm->loop, tcti_initialize, &opening, false);
    if (r < 0)
        return reason_set(reason, r, "the TPM was not asked: %s", strerror(-r));
    if (opening.rc == TSS2_RC_SUCCESS)
        return 0;
    return reason_set(
        reason, -ENODEV,
        "no TPM answers at the TCTI '%.150s': %.150s (0x%08x); is that the right TCTI "
        "(device:/dev/tpmrm0 is usual), and is what it names running?",
        tcti, Tss2_RC_Decode(opening.rc), opening.rc);
}

static int tpm_ask(Tpm *tpm, Reason *reason)
{
    TPMS_CAPABILITY_DATA data = {0};
    TSS2_RC rc = tpm2_get_capability(tpm, TPM2_CAP_TPM_PROPERTIES, TPM2_PT_MANUFACTURER, 1, &data);

    if (rc == TSS2_RC_SUCCESS)
        return 0;
    tpm_error(reason, "TPM2_GetCapability", rc);
    if (rc == TPM2_RC_CANCELED)
        return -ECANCELED;
    /* A TCTI that can't move octets has no TPM behind it; anything else is the TPM's own answer. */
    return (rc & TSS2_RC_LAYER_MASK) == TSS2_TCTI_RC_LAYER ? -ENODEV : -EIO;
}

static int open_with(const char *tcti, TpmLoop *loop, TpmMeter *meter, Tpm **ret, Reason *reason)
{
    _cleanup_(tpm_closep) Tpm *tpm = calloc(1, sizeof(*tpm));
    int r;

    if (!tpm || tpm_crypto_new(&tpm->crypto) < 0)
        return reason_set(reason, -ENOMEM, "out of memory");
    tpm->n_references = 1;
    tpm->loop = loop;
    tpm->meter = meter;
    tpm->exclusive = tcti_is_exclusive(tcti);
    /* Every error comes back as a sentence of ours; the TSS would print it a second time. */
    (void)setenv("TSS2_LOG", "all+NONE", 0);
    r = tcti_open(tcti, tpm, reason);
    if (r == 0)
        r = tpm_ask(tpm, reason);
    if (r == 0)
        *ret = steal_pointer(tpm);
    return r;
}

int tpm_open(const char *tcti, Tpm **ret, Reason *reason)
{
    return open_with(tcti, NULL, NULL, ret, reason);
}

int tpm_open_metered(const char *tcti, TpmMeter *meter, Tpm **ret, Reason *reason)
{
    return open_with(tcti, NULL, meter, ret, reason);
}

int tpm_open_in_loop(const char *tcti, TpmLoop *loop, Tpm **ret, Reason *reason)
{
    return open_with(tcti, loop, NULL, ret, reason);
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
