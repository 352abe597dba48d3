/* Is key material kept in locked memory, wiped in time, and never put elsewhere when that is used
 * up? */
#include "crypto/secret.h"

#include "tred/exchange.h"
#include "tred/users.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { NOBODY = 65534 };

/* Runs `check` in a process of its own, as the secure heap is set up once in a process. */
static void assert_in_child(int (*check)(void))
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(check());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int unlockable_heap_check(void)
{
    const struct rlimit none = {0, 0};

    if (setrlimit(RLIMIT_MEMLOCK, &none) < 0)
        return 1;
    /* Root would be let off the limit by CAP_IPC_LOCK. */
    if (geteuid() == 0 && setuid(NOBODY) < 0)
        return 2;
    if (secrets_init() != -EPERM)
        return 3;
    return CRYPTO_secure_malloc_initialized() ? 4 : 0;
}

static void a_heap_that_cannot_be_locked_is_refused(void **state)
{
    (void)state;
    assert_in_child(unlockable_heap_check);
}

static int missing_heap_check(void)
{
    Secret *secret = NULL;

    return secret_new(32, &secret) == -ENOMEM && !secret ? 0 : 1;
}

static void a_secret_before_the_heap_is_set_up_is_refused(void **state)
{
    (void)state;
    assert_in_child(missing_heap_check);
}

static void a_new_secret_is_zero_and_in_the_secure_heap(void **state)
{
    (void)state;
    _cleanup_(secret_freep) Secret *secret = NULL;
    static const uint8_t zeros[48];

    assert_int_equal(secret_new(sizeof(zeros), &secret), 0);
    assert_true(CRYPTO_secure_allocated(secret->data));
    assert_int_equal(secret_bytes(secret).size, sizeof(zeros));
    assert_memory_equal(secret_bytes(secret).data, zeros, sizeof(zeros));
}

static void a_secret_of_no_octets_is_refused(void **state)
{
    (void)state;
    Secret *secret = NULL;

    assert_int_equal(secret_new(0, &secret), -EINVAL);
    assert_null(secret);
}

static void a_released_secret_is_wiped(void **state)
{
    (void)state;
    enum { SIZE = 256, HEAP_LINKS = 32 }; /* the heap keeps its own links at a free block's front */
    Secret *secret = NULL;
    const volatile uint8_t *octets;

    assert_int_equal(secret_new(SIZE, &secret), 0);
    memset(secret->data, 0xa5, SIZE);
    octets = secret->data;
    secret_free(secret);
    for (size_t i = HEAP_LINKS; i < SIZE; i++)
        assert_int_equal(octets[i], 0);
}

static void a_slice_is_a_copy_of_its_own(void **state)
{
    (void)state;
    _cleanup_(secret_freep) Secret *whole = NULL, *slice = NULL;

    assert_int_equal(secret_new(8, &whole), 0);
    memcpy(whole->data, "abcdefgh", 8);
    assert_int_equal(secret_new_slice(whole, 3, 5, &slice), 0);
    memset(whole->data, 0, 8);
    assert_int_equal(slice->size, 5);
    assert_memory_equal(slice->data, "defgh", 5);
}

static void a_slice_beyond_the_end_is_refused(void **state)
{
    (void)state;
    _cleanup_(secret_freep) Secret *whole = NULL;
    Secret *slice = NULL;

    assert_int_equal(secret_new(8, &whole), 0);
    assert_int_equal(secret_new_slice(whole, 4, 5, &slice), -ERANGE);
    assert_int_equal(secret_new_slice(whole, 9, 1, &slice), -ERANGE);
    assert_int_equal(secret_new_slice(whole, 4, SIZE_MAX, &slice), -ERANGE);
    assert_int_equal(secret_new_slice(whole, 8, 0, &slice), -EINVAL); /* nothing is no secret */
    assert_null(slice);
}

/* Those of one exchange: SK_* and the copies of SK_ai and SK_ar; four keys of each Child SA;
 * private keys in group 14, and g^ir of two negotiations. */
enum {
    IKE_SECRETS = 7 + 2,
    CHILD_SECRETS = 4 * EXCHANGE_CHILDREN_MAX,
    CREATE_SECRETS = EXCHANGE_PREPARED_MAX + 2 + 2,
    SECRETS_EACH = IKE_SECRETS + CHILD_SECRETS + CREATE_SECRETS,
};

static void there_is_room_for_all_exchanges_at_their_worst(void **state)
{
    (void)state;
    static Secret *secrets[EXCHANGES_TOTAL_MAX * SECRETS_EACH];

    for (size_t i = 0; i < ELEMENTS(secrets); i++) {
        const bool key = i % SECRETS_EACH < IKE_SECRETS + CHILD_SECRETS;
        assert_int_equal(secret_new(key ? IKE_KEY_MAX : DH_PUBLIC_MAX, &secrets[i]), 0);
    }
    assert_true(CRYPTO_secure_used() <= (size_t)EXCHANGES_TOTAL_MAX * EXCHANGE_SECRETS_MAX);
    for (size_t i = 0; i < ELEMENTS(secrets); i++)
        secret_free(secrets[i]);
}

static void a_full_heap_is_an_error_and_not_ordinary_memory(void **state)
{
    (void)state;
    enum { SIZE = 4096, COUNT = EXCHANGES_SECRETS_SIZE / SIZE + 1 };
    static Secret *secrets[COUNT];
    size_t made = 0;
    int r = 0;

    while (made < COUNT) {
        r = secret_new(SIZE, &secrets[made]);
        if (r < 0)
            break;
        made++;
    }
    assert_int_equal(r, -ENOMEM);
    for (size_t i = 0; i < made; i++)
        secret_free(secrets[i]);
}

int main(void)
{
    const struct CMUnitTest before[] = {
        cmocka_unit_test(a_heap_that_cannot_be_locked_is_refused),
        cmocka_unit_test(a_secret_before_the_heap_is_set_up_is_refused),
    };
    const struct CMUnitTest after[] = {
        cmocka_unit_test(a_new_secret_is_zero_and_in_the_secure_heap),
        cmocka_unit_test(a_secret_of_no_octets_is_refused),
        cmocka_unit_test(a_released_secret_is_wiped),
        cmocka_unit_test(a_slice_is_a_copy_of_its_own),
        cmocka_unit_test(a_slice_beyond_the_end_is_refused),
        cmocka_unit_test(there_is_room_for_all_exchanges_at_their_worst),
        cmocka_unit_test(a_full_heap_is_an_error_and_not_ordinary_memory),
    };
    int failed = cmocka_run_group_tests_name("secret: no heap", before, NULL, NULL);

    if (secrets_init_sized(EXCHANGES_SECRETS_SIZE) < 0)
        return 1;
    return failed + cmocka_run_group_tests_name("secret", after, NULL, NULL);
}
