/* How do the commands of the proof read and print their messages? */
#include "provisioning/proofcommand.h"

#include "base/file.h"
#include "base/reason.h"
#include "provisioning/command.h"
#include "provisioning/proofjson.h"
#include "provisioning/tpmopen.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int message_read(const char *path, uint8_t **ret, size_t *ret_size)
{
    int r = file_read(path, PROOF_JSON_MAX, ret, ret_size);

    if (r == -EFBIG) {
        complain("%s is larger than %d octets; no message of the proof is", path, PROOF_JSON_MAX);
    } else if (r < 0) {
        complain("%s can't be read: %s", path, strerror(-r));
    }
    return r;
}

int message_print(const char *text)
{
    if (fputs(text, stdout) != EOF && fflush(stdout) == 0)
        return 0;
    complain("standard output can't be written: %s", strerror(errno));
    return -EIO;
}

int secrets_ready(void)
{
    Reason reason = {0};
    int r = secrets_prepare(&reason);

    if (r < 0)
        complain("%s", reason.text);
    return r;
}

int pending_path(const char *given, const char *request, char **ret)
{
    if (asprintf(ret, "%s%s", given ? given : request, given ? "" : ".pending") >= 0)
        return 0;
    *ret = NULL;
    complain("out of memory");
    return -ENOMEM;
}
