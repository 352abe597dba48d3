/* Is all that an earlier run left in the kernel cleared, and nothing of anybody else's? */
#include "net/xfrm.h"

#include "netlink_fixture.h"

#include <arpa/inet.h>
#include <linux/xfrm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { OTHERS = 4, ASKED_AT_ONCE_MAX = 64 };

static const uint32_t not_ours[OTHERS] = {0, XFRM_IF_ID - 1, XFRM_IF_ID + DATAPLANE_INTERFACES_MAX,
                                          XFRM_IF_ID + 0x100};

static void answer_state(uint32_t spi, uint32_t if_id)
{
    struct xfrm_usersa_info *info;
    struct nlmsghdr *header = played_answer(XFRM_MSG_NEWSA, sizeof(*info), &info);
    info->id.spi = htonl(spi);
    info->id.proto = IPPROTO_ESP;
    info->family = AF_INET;
    if (if_id)
        mnl_attr_put_u32(header, XFRMA_IF_ID, if_id);
}

static void answer_policy(uint16_t port, uint32_t if_id)
{
    struct xfrm_userpolicy_info *info;
    struct nlmsghdr *header = played_answer(XFRM_MSG_NEWPOLICY, sizeof(*info), &info);
    info->sel.dport = htons(port);
    info->dir = XFRM_POLICY_OUT;
    if (if_id)
        mnl_attr_put_u32(header, XFRMA_IF_ID, if_id);
}

static void forget_answer(size_t i)
{
    played.n_answers--;
    memmove(&played.answers[i], &played.answers[i + 1],
            (played.n_answers - i) * sizeof(played.answers[0]));
}

static int collect_if_id(const struct nlattr *attribute, void *userdata)
{
    if (mnl_attr_get_type(attribute) == XFRMA_IF_ID)
        *(uint32_t *)userdata = mnl_attr_get_u32(attribute);
    return MNL_CB_OK;
}

static uint32_t if_id_of(const struct nlmsghdr *header, size_t head)
{
    uint32_t if_id = 0;
    (void)mnl_attr_parse(header, (unsigned)head, collect_if_id, &if_id);
    return if_id;
}

static bool is_deleted(const struct nlmsghdr *request, const struct nlmsghdr *answer)
{
    if (answer->nlmsg_type + 1 != request->nlmsg_type)
        return false;
    if (request->nlmsg_type == XFRM_MSG_DELSA) {
        const struct xfrm_usersa_id *id = mnl_nlmsg_get_payload(request);
        const struct xfrm_usersa_info *info = mnl_nlmsg_get_payload(answer);
        return id->spi == info->id.spi && id->proto == info->id.proto && id->family == info->family;
    }
    const struct xfrm_userpolicy_id *id = mnl_nlmsg_get_payload(request);
    const struct xfrm_userpolicy_info *info = mnl_nlmsg_get_payload(answer);
    return id->dir == info->dir && memcmp(&id->sel, &info->sel, sizeof(id->sel)) == 0 &&
           if_id_of(request, sizeof(*id)) == if_id_of(answer, sizeof(*info));
}

static void take_away(const struct nlmsghdr *request)
{
    for (size_t i = 0; i < played.n_answers; i++) {
        if (is_deleted(request, (const struct nlmsghdr *)(const void *)played.answers[i].octets)) {
            forget_answer(i);
            return;
        }
    }
    fail_msg("what is deleted is not there");
}

static int setup(void **state)
{
    (void)played_begin(state);
    played.on_call = take_away;
    return 0;
}

static void leave(size_t states, size_t policies)
{
    (void)setup(NULL);
    for (uint32_t i = 0; i < OTHERS; i++) {
        answer_state(1 + i, not_ours[i]);
        answer_policy((uint16_t)(1 + i), not_ours[i]);
    }
    for (size_t i = 0; i < states; i++)
        answer_state((uint32_t)(100 + i), XFRM_IF_ID + i % DATAPLANE_INTERFACES_MAX);
    for (size_t i = 0; i < policies; i++)
        answer_policy((uint16_t)(100 + i), XFRM_IF_ID + i % DATAPLANE_INTERFACES_MAX);
}

/* The most requests of one type in a row. */
static size_t longest_run(uint16_t type)
{
    size_t longest = 0, run = 0;

    for (size_t i = 0; i < played.n_requests; i++) {
        const struct nlmsghdr *request =
            (const struct nlmsghdr *)(const void *)played.requests[i].octets;
        run = request->nlmsg_type == type ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    return longest;
}

static void all_of_ours_is_cleared_and_nothing_else(void **state)
{
    static const size_t counts[] = {0, 1, 63, 64, 65, 127, 128, 129, 140};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(counts); i++) {
        leave(counts[i], counts[ELEMENTS(counts) - 1 - i]);
        assert_int_equal(xfrm_clear(played_netlink), 0);
        assert_int_equal(played.n_answers, 2 * OTHERS);
        /* So many of one dump have room. */
        assert_true(longest_run(XFRM_MSG_DELSA) <= ASKED_AT_ONCE_MAX);
        assert_true(longest_run(XFRM_MSG_DELPOLICY) <= ASKED_AT_ONCE_MAX);
    }
}

/* Policies first: what goes out then meets no state that is gone. */
static void what_can_not_be_cleared_is_told_at_once(void **state)
{
    static const struct {
        size_t fails_at;
        uint16_t type;
    } examples[] = {
        {1, XFRM_MSG_GETPOLICY}, {2, XFRM_MSG_DELPOLICY}, {3, XFRM_MSG_DELPOLICY},
        {5, XFRM_MSG_GETSA},     {6, XFRM_MSG_DELSA},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(examples); i++) {
        leave(2, 2);
        played.fails_at = examples[i].fails_at;
        assert_int_equal(xfrm_clear(played_netlink), -PLAYED_ERROR);
        assert_int_equal(played.n_requests, examples[i].fails_at);
        (void)played_request(played.n_requests - 1, examples[i].type);
    }
}

static void count(const XfrmPolicy *policy, void *userdata)
{
    size_t *n = userdata;
    assert_int_equal(policy->direction, XFRM_POLICY_OUT);
    assert_int_equal(ntohs(policy->selector.dport), 100 + *n);
    assert_int_equal(policy->interface, *n);
    ++*n;
}

static void policies_of_ours_alone_are_listed(void **state)
{
    size_t n = 0;

    (void)state;
    leave(3, 3);
    assert_int_equal(xfrm_policies_list(played_netlink, count, &n), 0);
    assert_int_equal(n, 3);
    played.fails_at = 1;
    assert_int_equal(xfrm_policies_list(played_netlink, count, &n), -PLAYED_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_of_ours_is_cleared_and_nothing_else, setup),
        cmocka_unit_test_setup(what_can_not_be_cleared_is_told_at_once, setup),
        cmocka_unit_test_setup(policies_of_ours_alone_are_listed, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
