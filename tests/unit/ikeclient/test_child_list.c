/* Of the Child SAs that take one's place, the one with the lowest of all nonces goes, and each side
 * deletes what is its to delete (RFC 7296 2.8.1). */
#include "ikeclient/child_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { OLD = 0x100, OURS = 0x200, THEIRS = 0x300, OTHER = 0x400 };

static ChildSa *list;

static ChildSa *add(uint32_t spi_in, uint32_t replaces, bool by_peer, uint8_t lowest)
{
    static const ChildAnswer answer;
    ChildSa *child = child_sas_add(&list, spi_in, &answer);

    assert_non_null(child);
    child->replaces = replaces;
    child->by_peer = by_peer;
    child->lowest.size = 32;
    memset(child->lowest.octets, lowest, 32);
    return child;
}

static int teardown(void **state)
{
    (void)state;
    child_sas_free(list);
    list = NULL;
    return 0;
}

static void nonces_are_compared_octet_by_octet_and_the_shorter_is_lower(void **state)
{
    static const struct {
        Nonce a, b;
        bool lower;
    } rows[] = {
        {{2, {1, 2}}, {2, {1, 3}}, true},
        {{2, {1, 3}}, {2, {1, 2}}, false},
        {{2, {1, 2}}, {2, {1, 2}}, false},
        {{1, {1}}, {2, {1, 0}}, true},
        {{2, {1, 0}}, {1, {1}}, false},
        {{1, {2}}, {3, {1, 0xff, 0xff}}, false}, /* not as numbers */
        {{2, {0, 0xff}}, {1, {1}}, true},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(nonce_is_lower(&rows[i].a, &rows[i].b), rows[i].lower);
}

static void what_we_have_replaced_we_delete(void **state)
{
    const ChildSa *old = add(OLD, 0, false, 0);
    const ChildSa *ours = add(OURS, OLD, false, 1);
    (void)state;

    child_sas_settle(list, OLD);
    assert_true(old->unwanted);
    assert_false(ours->unwanted);
    assert_true(child_sa_is_current(list, ours));
    assert_false(child_sa_is_current(list, old));
}

static void what_the_peer_has_replaced_it_deletes(void **state)
{
    const ChildSa *old = add(OLD, 0, false, 0);
    const ChildSa *theirs = add(THEIRS, OLD, true, 1);
    (void)state;

    child_sas_settle(list, OLD);
    assert_false(old->unwanted);
    assert_false(theirs->unwanted || theirs->redundant);
    assert_true(child_sa_is_current(list, theirs));
}

/* The order in which they come makes no difference, nor whether the old one is still there. */
static void of_two_the_lower_goes(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 8; bits++) {
        const bool ours_first = bits & 1, ours_lower = bits & 2, old_there = bits & 4;
        const ChildSa *old = old_there ? add(OLD, 0, false, 0) : NULL;
        const ChildSa *ours = NULL, *theirs = NULL;

        for (unsigned turn = 0; turn < 2; turn++) {
            if ((turn == 0) == ours_first) {
                ours = add(OURS, OLD, false, ours_lower ? 1 : 2);
            } else {
                theirs = add(THEIRS, OLD, true, ours_lower ? 2 : 1);
            }
            child_sas_settle(list, OLD);
        }
        assert_int_equal(ours->unwanted, ours_lower);
        assert_int_equal(theirs->redundant, !ours_lower);
        assert_false(theirs->unwanted);
        if (old)
            assert_int_equal(old->unwanted, !ours_lower);
        assert_true(child_sa_is_current(list, ours_lower ? theirs : ours));
        assert_false(child_sa_is_current(list, ours_lower ? ours : theirs));
        (void)teardown(NULL);
    }
}

static void others_are_none_of_it(void **state)
{
    const ChildSa *other = add(OTHER, 0, false, 0);
    (void)state;

    (void)add(OLD, 0, false, 0);
    (void)add(OURS, OLD, false, 1);
    child_sas_settle(list, OLD);
    assert_true(child_sa_is_current(list, other));
    assert_false(other->unwanted);
}

static void what_is_unusable_replaces_nothing(void **state)
{
    const ChildSa *old = add(OLD, 0, false, 0);
    ChildSa *ours = add(OURS, OLD, false, 1);
    (void)state;

    ours->unwanted = true;
    child_sas_settle(list, OLD);
    assert_false(old->unwanted);
    assert_true(child_sa_is_current(list, old));
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nonces_are_compared_octet_by_octet_and_the_shorter_is_lower),
        TEST(what_we_have_replaced_we_delete),
        TEST(what_the_peer_has_replaced_it_deletes),
        TEST(of_two_the_lower_goes),
        TEST(others_are_none_of_it),
        TEST(what_is_unusable_replaces_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
