/* What each user holds and spends, and the bounds of both. */
#include "tred/users.h"

#include "tred/exchange.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

enum {
    USEC_PER_SEC = 1000000,
    NSEC_PER_USEC = 1000,
    SPENT_MAX_USEC = USEC_PER_SEC / 4,
    SHARE = 2, /* one part of so many of the time */
};

/* Beside all that exchanges hold: what a key agreement needs in passing, one at a time; the keys of
 * a Child SA on their way to a helper; OpenSSL's random generators; and what is lost where larger
 * blocks are wanted than those that are free beside each other. */
enum { SECRETS_OTHER_SIZE = 512 * 1024 };

static_assert(EXCHANGES_TOTAL_MAX * EXCHANGE_SECRETS_MAX + SECRETS_OTHER_SIZE <=
                  EXCHANGES_SECRETS_SIZE,
              "all exchanges at their worst fit the secure heap");
static_assert((int)DH_PUBLIC_MAX <= (int)SECRET_BLOCK_MAX &&
                  (int)IKE_KEY_MAX <= (int)SECRET_BLOCK_MAX &&
                  (int)IKE_PRF_SIZE_MAX <= (int)SECRET_BLOCK_MAX,
              "each secret of an exchange has a block that SECRET_BLOCK() knows");

static size_t total_max(void)
{
    struct rlimit limit;
    rlim_t usable;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return EXCHANGES_TOTAL_MAX;
    usable = limit.rlim_cur < DESCRIPTORS_MAX ? limit.rlim_cur : DESCRIPTORS_MAX;
    usable = usable > DESCRIPTORS_OWN ? usable : DESCRIPTORS_OWN;
    return (size_t)(usable - DESCRIPTORS_OWN) / DESCRIPTORS_EACH;
}

void users_init(Users *users, size_t each_max)
{
    *users = (Users){.each_max = each_max, .total_max = total_max()};
}

static uint64_t usec_of(clockid_t clock)
{
    struct timespec now = {0};

    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / NSEC_PER_USEC;
}

/* What others on a busy machine take meanwhile is no caller's. */
uint64_t user_time_begin(void)
{
    return usec_of(CLOCK_THREAD_CPUTIME_ID);
}

static void user_settle(User *user)
{
    const uint64_t now = usec_of(CLOCK_MONOTONIC);
    const uint64_t paid = (now - user->spent_at) / SHARE;

    user->spent = paid < user->spent ? user->spent - paid : 0;
    user->spent_at = now;
}

static void users_tidy(Users *users, bool all)
{
    User **link = &users->first;

    while (*link) {
        User *user = *link;

        user_settle(user);
        if (user->n_callers > 0 || (!all && user->spent > 0)) {
            link = &user->next;
            continue;
        }
        *link = user->next;
        free(user);
    }
}

void users_deinit(Users *users)
{
    users_tidy(users, true);
}

int user_take(Users *users, uid_t uid, User **ret)
{
    User *user;

    users_tidy(users, false);
    user = users->first;
    while (user && user->uid != uid)
        user = user->next;
    if (!user) {
        user = calloc(1, sizeof(*user));
        if (!user)
            return -ENOMEM;
        *user = (User){.next = users->first, .uid = uid};
        users->first = user;
    }
    user->n_callers++;
    *ret = user;
    return 0;
}

void user_drop(Users *users, User *user)
{
    if (!user)
        return;
    user->n_callers--;
    users_tidy(users, false);
}

bool user_has_room(const Users *users, const User *user)
{
    const size_t left = users->total_max - users->n_exchanges;

    return user->n_exchanges < users->each_max && left > 0 &&
           (left > EXCHANGES_RESERVED || user->n_exchanges < EXCHANGES_SMALL);
}

void user_add_exchange(Users *users, User *user)
{
    user->n_exchanges++;
    users->n_exchanges++;
}

void user_remove_exchange(Users *users, User *user)
{
    user->n_exchanges--;
    users->n_exchanges--;
}

bool user_has_time(User *user)
{
    user_settle(user);
    return user->spent < SPENT_MAX_USEC;
}

void user_time_end(User *user, uint64_t begun)
{
    user_settle(user);
    user->spent += user_time_begin() - begun;
}
