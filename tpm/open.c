/* Connecting to the TPM, and why that does not work. */
#include "tpm/open.h"

#include "tpm/commands.h"
#include "tpm/meter.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
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
