/* How does a test get a device to provision? */
#include "provision_fixture.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { TEXT_MAX = 65536 };

int bench_init(void **state)
{
    ProvisionBench *bench = calloc(1, sizeof(*bench));

    *state = bench;
    if (!bench || swtpm_start(&bench->swtpm) < 0)
        return -1;
    /* Inside of the TPM's folder, which goes away with it. */
    (void)snprintf(bench->state_dir, sizeof(bench->state_dir), "%.40s/state", bench->swtpm.folder);
    bench->options = (ProvisionOptions){
        .tcti = bench->swtpm.tcti,
        .state_dir = bench->state_dir,
        .owner = (uid_t)-1,
        .group = (gid_t)-1,
        .fqdn = "henb-1.example",
    };
    return 0;
}

int bench_deinit(void **state)
{
    ProvisionBench *bench = *state;

    if (bench)
        swtpm_stop(&bench->swtpm);
    free(bench);
    return 0;
}

char *state_text(const ProvisionBench *bench, const char *name)
{
    _cleanup_(free_charp) char *path = NULL;
    uint8_t *text = NULL;
    size_t size;

    if (state_path(&bench->options, name, &path) < 0 || file_read(path, TEXT_MAX, &text, &size) < 0)
        return NULL;
    return (char *)text;
}

unsigned state_mode(const ProvisionBench *bench, const char *name)
{
    _cleanup_(free_charp) char *path = NULL;
    struct stat status;

    if (state_path(&bench->options, name, &path) < 0 || stat(path, &status) < 0)
        return 0;
    return status.st_mode & 07777;
}

unsigned state_count(const ProvisionBench *bench)
{
    DIR *folder = opendir(bench->state_dir);
    unsigned count = 0;

    if (!folder)
        return 0;
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            count++;
    }
    (void)closedir(folder);
    return count;
}
