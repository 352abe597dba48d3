/* Whom callers work for: what tred holds for them and spends on them is counted for their user,
 * however many connections there are. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    EXCHANGES_USER_MAX = 1024, /* that one user may be configured to hold */
    /* So many more are for users who hold less than EXCHANGES_SMALL: whoever holds many leaves room
     * for four others who hold a few. */
    EXCHANGES_RESERVED = 64,
    EXCHANGES_SMALL = 16,
    /* All users' together. The secure heap has room for them, which users.c makes sure of. */
    EXCHANGES_TOTAL_MAX = EXCHANGES_USER_MAX + EXCHANGES_RESERVED,
    /* tred's secure heap; as much as the usual RLIMIT_MEMLOCK has room for. */
    EXCHANGES_SECRETS_SIZE = 8 * 1024 * 1024,
    /* Beyond two for each exchange's transport, tred has its own: event loop, timer, signals, bus,
     * 16 channels of four, TPM, a socket to each helper and, when the identity is read again, to
     * the next one, with the memory that it is handed. */
    DESCRIPTORS_OWN = 192,
    DESCRIPTORS_EACH = 2,
    DESCRIPTORS_MAX = DESCRIPTORS_OWN + DESCRIPTORS_EACH * EXCHANGES_TOTAL_MAX,
};

/* What one user has, over all of its connections. */
typedef struct User {
    struct User *next;
    uid_t uid;
    size_t n_callers;
    size_t n_exchanges;
    uint64_t spent;    /* microseconds of key exchanges that it has not made up for yet */
    uint64_t spent_at; /* when that was so, in microseconds of CLOCK_MONOTONIC */
} User;

typedef struct Users {
    User *first;
    size_t n_exchanges;
    size_t each_max;  /* exchanges that one user may hold */
    size_t total_max; /* and all of them together */
} Users;

/* `each_max` is configured; how many all together may hold is EXCHANGES_TOTAL_MAX, or what the
 * limit on open descriptors (RLIMIT_NOFILE) has room for. */
void users_init(Users *users, size_t each_max);

/* Wipes those who have no caller, which are all when the program ends. */
void users_deinit(Users *users);

/* The user of that number, for one caller more. 0 or -ENOMEM. */
int user_take(Users *users, uid_t uid, User **ret);

/* For one caller less; NULL is fine. Leaving the bus does not clear a debt of time. */
void user_drop(Users *users, User *user);

/* True if it may hold one exchange more; it holds one more, or one less. */
bool user_has_room(const Users *users, const User *user);
void user_add_exchange(Users *users, User *user);
void user_remove_exchange(Users *users, User *user);

/* Making keys is what a call costs most, a millisecond in group 14. One user may have half of the
 * time for it, and is to wait when it is a quarter of a second ahead. What is spent is CPU time of
 * this thread, in microseconds; it is paid back as time passes. */
bool user_has_time(User *user);
uint64_t user_time_begin(void);
void user_time_end(User *user, uint64_t begun);
