/* Says that there are no random numbers, where a test has it so. */
#include "no_random.h"

static struct {
    unsigned left; /* calls that are answered; counts from 1, 0: all are */
    int says;
    bool failed;
} played;

int __real_RAND_bytes(unsigned char *ret, int size);
int __wrap_RAND_bytes(unsigned char *ret, int size);
int __real_RAND_priv_bytes(unsigned char *ret, int size);
int __wrap_RAND_priv_bytes(unsigned char *ret, int size);

static bool fails(void)
{
    if (played.left > 1) {
        played.left--;
        return false;
    }
    played.failed = played.failed || played.left == 1;
    return played.left == 1;
}

int __wrap_RAND_bytes(unsigned char *ret, int size)
{
    return fails() ? played.says : __real_RAND_bytes(ret, size);
}

int __wrap_RAND_priv_bytes(unsigned char *ret, int size)
{
    return fails() ? played.says : __real_RAND_priv_bytes(ret, size);
}

void no_random_begin(unsigned nth, int says)
{
    played.left = nth;
    played.says = says;
    played.failed = false;
}

bool no_random_end(void)
{
    played.left = 0;
    return played.failed;
}
