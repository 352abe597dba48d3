/* Connecting to the TPM, and why that does not work; and whether it can do what it must. */
#include "tpm/open.h"

#include "tpm/commands.h"
#include "tpm/transport.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>

enum { TCTI_NAME_SIZE = 256 };

#define DEVICE_TCTI "device:"
#define DEVICE_TCTI_DEFAULT "/dev/tpm0"
#define DEVICE_RAW "/dev/tpm" /* and a number; the resource manager's are /dev/tpmrm0, … */

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
    TSS2_RC rc =
        tpm2_get_capability(tpm, NULL, TPM2_CAP_TPM_PROPERTIES, TPM2_PT_MANUFACTURER, 1, &data);

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

static bool names(const char *tcti, size_t size, const char *name)
{
    return strlen(name) == size && strncmp(tcti, name, size) == 0;
}

/* Held by this for good: what tctildr loads, it lets go of when the connection is closed. */
void tpm_tcti_warm(const char *tcti)
{
    static const char *const known[] = {"device", "swtpm", "mssim"};
    const size_t size = strcspn(tcti, ":");
    char name[TCTI_NAME_SIZE];

    for (size_t i = 0; i < ELEMENTS(known); i++) {
        (void)snprintf(name, sizeof(name), "libtss2-tcti-%s.so.0", known[i]);
        if (names(tcti, size, known[i]) || names(tcti, size, name))
            (void)dlopen(name, RTLD_NOW | RTLD_LOCAL);
    }
}

/* ---- what a TPM must be able to do, asked one by one ---- */

enum { LIST_MAX = 256 };

/* One algorithm or curve, and the keys that need it. */
typedef struct Need {
    TPM2_CAP capability;
    uint32_t id;
    const char *name;
    bool keys[TPM_KEY_ALGORITHMS];
} Need;

#define EVERY_KEY                                                                                  \
    {                                                                                              \
        true, true, true                                                                           \
    }

static const Need needs[] = {
    {TPM2_CAP_ALGS, TPM2_ALG_SHA256, "SHA-256", EVERY_KEY},
    /* Of the storage root key. */
    {TPM2_CAP_ALGS, TPM2_ALG_ECC, "elliptic curves", EVERY_KEY},
    {TPM2_CAP_ECC_CURVES, TPM2_ECC_NIST_P256, "the curve NIST P-256", EVERY_KEY},
    {TPM2_CAP_ALGS, TPM2_ALG_AES, "AES", EVERY_KEY},
    {TPM2_CAP_ALGS, TPM2_ALG_CFB, "the mode CFB of AES", EVERY_KEY},
    /* Of the device key and its signatures. */
    {TPM2_CAP_ALGS, TPM2_ALG_ECDSA, "ECDSA",
     .keys = {[TPM_KEY_ECDSA_P256] = true, [TPM_KEY_ECDSA_P384] = true}},
    {TPM2_CAP_ALGS, TPM2_ALG_SHA384, "SHA-384", .keys = {[TPM_KEY_ECDSA_P384] = true}},
    {TPM2_CAP_ECC_CURVES, TPM2_ECC_NIST_P384, "the curve NIST P-384",
     .keys = {[TPM_KEY_ECDSA_P384] = true}},
    {TPM2_CAP_ALGS, TPM2_ALG_RSA, "RSA", .keys = {[TPM_KEY_RSA_2048] = true}},
    {TPM2_CAP_ALGS, TPM2_ALG_RSASSA, "RSASSA-PKCS1-v1_5", .keys = {[TPM_KEY_RSA_2048] = true}},
    {TPM2_CAP_ALGS, TPM2_ALG_RSAPSS, "RSASSA-PSS", .keys = {[TPM_KEY_RSA_2048] = true}},
};

/* All that the TPM has of one capability: it lists from the property asked for on, and says how
 * many at once (TPM 2.0 Part 3, 30.2). */
typedef struct Lists {
    uint32_t algorithms[LIST_MAX], curves[LIST_MAX];
    size_t n_algorithms, n_curves;
} Lists;

static size_t answer_take(const TPMS_CAPABILITY_DATA *data, uint32_t *ret, size_t room)
{
    const TPMU_CAPABILITIES *lists = &data->data;
    size_t count = 0;

    if (data->capability == TPM2_CAP_ECC_CURVES) {
        for (; count < lists->eccCurves.count && count < room; count++)
            ret[count] = lists->eccCurves.eccCurves[count];
    } else if (data->capability == TPM2_CAP_ALGS) {
        for (; count < lists->algorithms.count && count < room; count++)
            ret[count] = lists->algorithms.algProperties[count].alg;
    }
    return count;
}

static int list_read(Tpm *tpm, TPM2_CAP capability, uint32_t *ret, size_t *ret_count,
                     Reason *reason)
{
    uint32_t next = 0;
    size_t got;

    *ret_count = 0;
    do {
        TPMS_CAPABILITY_DATA data = {0};
        TSS2_RC rc = tpm2_get_capability(tpm, NULL, capability, next, LIST_MAX, &data);

        if (rc != TSS2_RC_SUCCESS) {
            tpm_error(reason, "TPM2_GetCapability", rc);
            return -EIO;
        }
        got = answer_take(&data, ret + *ret_count, LIST_MAX - *ret_count);
        *ret_count += got;
        next = got > 0 ? ret[*ret_count - 1] + 1 : 0;
    } while (got > 0 && *ret_count < LIST_MAX);
    return 0;
}

static bool is_listed(const Lists *lists, const Need *need)
{
    const bool curve = need->capability == TPM2_CAP_ECC_CURVES;
    const uint32_t *ids = curve ? lists->curves : lists->algorithms;
    const size_t count = curve ? lists->n_curves : lists->n_algorithms;

    for (size_t i = 0; i < count; i++) {
        if (ids[i] == need->id)
            return true;
    }
    return false;
}

int tpm_profile_check(Tpm *tpm, TpmKeyAlgorithm algorithm, Reason *reason)
{
    Lists lists;
    int r;

    r = list_read(tpm, TPM2_CAP_ALGS, lists.algorithms, &lists.n_algorithms, reason);
    if (r == 0)
        r = list_read(tpm, TPM2_CAP_ECC_CURVES, lists.curves, &lists.n_curves, reason);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ELEMENTS(needs); i++) {
        if (!needs[i].keys[algorithm] || is_listed(&lists, &needs[i]))
            continue;
        return reason_set(
            reason, -EOPNOTSUPP,
            "this TPM lacks %s, which a device key %s needs; update the TPM's firmware, "
            "or choose another algorithm with 'tre-provision init --key-algorithm', or "
            "use another TPM",
            needs[i].name, tpm_key_algorithm_name(algorithm));
    }
    return 0;
}
