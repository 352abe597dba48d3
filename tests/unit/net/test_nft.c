/* Does a batch reach the kernel whole or not at all, and is a deletion of our table's told from all
 * else? Netlink is played: the linker puts these functions in the place of netlink.c's (ld --wrap).
 */
#include "net/nft.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
    TABLES = NFNL_SUBSYS_NFTABLES << 8,
    MESSAGE_SIZE = 512,
    RULES_MAX = 4000,
    EXPRESSIONS_MAX = 16,
    /* Of 120 KiB, and no message begins where less than two of the longest would have room. */
    LAST_BEGINS_MAX = (120 - 2) * 1024,
};

/* What a rule asks of a packet, in turn. */
typedef struct Asked {
    char name[16];
    uint32_t operator; /* of "cmp" */
    uint8_t value;     /* its first octet */
} Asked;

static struct {
    unsigned n_sent, n_messages, n_acked;
    uint16_t first, last; /* types of messages */
    uint32_t acked, asked;
    size_t last_begins;
    size_t n_expressions;
    Asked expressions[EXPRESSIONS_MAX]; /* of the rules */
    int send_error, dump_error;
    const struct nlmsghdr *answer; /* of the kernel's to a dump */
    _Alignas(max_align_t) uint8_t request[MESSAGE_SIZE];
} played;

int __wrap_netlink_send(Netlink *netlink, const void *messages, size_t size, uint32_t last);
struct nlmsghdr *__wrap_netlink_begin(Netlink *netlink, uint16_t type, uint16_t flags,
                                      size_t extra_size, void *ret_extra);
int __wrap_netlink_dump(Netlink *netlink, mnl_cb_t callback, void *userdata);

static int read_value(const struct nlattr *attribute, void *userdata)
{
    if (mnl_attr_get_type(attribute) == NFTA_DATA_VALUE)
        memcpy(userdata, mnl_attr_get_payload(attribute), 1);
    return MNL_CB_OK;
}

static int read_comparison(const struct nlattr *attribute, void *userdata)
{
    Asked *asked = userdata;

    if (mnl_attr_get_type(attribute) == NFTA_CMP_OP)
        asked->operator= ntohl(mnl_attr_get_u32(attribute));
    return mnl_attr_get_type(attribute) == NFTA_CMP_DATA
               ? mnl_attr_parse_nested(attribute, read_value, &asked->value)
               : MNL_CB_OK;
}

static int read_expression(const struct nlattr *attribute, void *userdata)
{
    Asked *asked = userdata;

    if (mnl_attr_get_type(attribute) == NFTA_EXPR_NAME)
        (void)snprintf(asked->name, sizeof(asked->name), "%s", mnl_attr_get_str(attribute));
    return mnl_attr_get_type(attribute) == NFTA_EXPR_DATA && strcmp(asked->name, "cmp") == 0
               ? mnl_attr_parse_nested(attribute, read_comparison, asked)
               : MNL_CB_OK;
}

static int read_element(const struct nlattr *attribute, void *userdata)
{
    (void)userdata;
    if (played.n_expressions == EXPRESSIONS_MAX)
        return MNL_CB_OK;
    return mnl_attr_parse_nested(attribute, read_expression,
                                 &played.expressions[played.n_expressions++]);
}

static int read_rule(const struct nlattr *attribute, void *userdata)
{
    return mnl_attr_get_type(attribute) == NFTA_RULE_EXPRESSIONS
               ? mnl_attr_parse_nested(attribute, read_element, userdata)
               : MNL_CB_OK;
}

int __wrap_netlink_send(Netlink *netlink, const void *messages, size_t size, uint32_t last)
{
    const struct nlmsghdr *header = messages;
    int left = (int)size;
    uint32_t sequence = 0;

    (void)netlink;
    played.n_sent++;
    played.asked = last;
    for (; mnl_nlmsg_ok(header, left); header = mnl_nlmsg_next(header, &left)) {
        assert_true(header->nlmsg_seq == sequence + 1); /* without a gap */
        sequence = header->nlmsg_seq;
        if (played.n_messages++ == 0)
            played.first = header->nlmsg_type;
        played.last = header->nlmsg_type;
        played.last_begins = size - (size_t)left;
        if (header->nlmsg_type == (TABLES | NFT_MSG_NEWRULE))
            assert_int_equal(mnl_attr_parse(header, sizeof(struct nfgenmsg), read_rule, NULL),
                             MNL_CB_OK);
        if (header->nlmsg_flags & NLM_F_ACK) {
            played.n_acked++;
            played.acked = header->nlmsg_seq;
        }
    }
    assert_int_equal(left, 0);
    return played.send_error;
}

struct nlmsghdr *__wrap_netlink_begin(Netlink *netlink, uint16_t type, uint16_t flags,
                                      size_t extra_size, void *ret_extra)
{
    (void)netlink, (void)flags;
    assert_int_equal(type, TABLES | NFT_MSG_GETOBJ);
    struct nlmsghdr *header = mnl_nlmsg_put_header(played.request);
    void *extra = mnl_nlmsg_put_extra_header(header, extra_size);
    memcpy(ret_extra, &extra, sizeof(extra));
    return header;
}

int __wrap_netlink_dump(Netlink *netlink, mnl_cb_t callback, void *userdata)
{
    (void)netlink;
    if (played.answer)
        assert_int_equal(callback(played.answer, userdata), MNL_CB_STOP);
    return played.dump_error;
}

static int setup(void **state)
{
    (void)state;
    memset(&played, 0, sizeof(played));
    return 0;
}

static void rules_are_sent_between_the_ends_of_one_batch(void **state)
{
    NftBatch *batch = NULL;

    (void)state;
    assert_int_equal(nft_batch_new("tred", &batch), 0);
    assert_int_equal(nft_batch_commit(batch, NULL), 0); /* there is nothing to change */
    assert_int_equal(played.n_sent, 0);
    nft_add_table(batch);
    nft_add_counter(batch, "dropped");
    nft_add_chain(batch, "out", NF_INET_POST_ROUTING, 0); /* and takes its rules away */
    nft_rule_begin(batch, "out");
    nft_match_ipsec(batch);
    nft_accept(batch);
    assert_int_equal(nft_batch_commit(batch, NULL), 0);
    assert_int_equal(played.n_messages, 7);
    assert_int_equal(played.first, NFNL_MSG_BATCH_BEGIN);
    assert_int_equal(played.last, NFNL_MSG_BATCH_END);
    /* The last change is the one that is answered. */
    assert_int_equal(played.n_acked, 1);
    assert_int_equal(played.acked, 6);
    assert_int_equal(played.asked, 6);
    nft_batch_free(batch);
}

static void what_the_kernel_says_of_a_batch_is_told(void **state)
{
    NftBatch *batch = NULL;

    (void)state;
    played.send_error = -EOPNOTSUPP;
    assert_int_equal(nft_batch_new("tred", &batch), 0);
    nft_add_table(batch);
    assert_int_equal(nft_batch_commit(batch, NULL), -EOPNOTSUPP);
    nft_batch_free(batch);
}

static int commit(unsigned rules)
{
    const uint8_t from[16] = {0}, to[16] = {1};
    NftBatch *batch = NULL;

    assert_int_equal(nft_batch_new("tred", &batch), 0);
    for (unsigned i = 0; i < rules; i++) {
        nft_rule_begin(batch, "out");
        nft_match_payload(batch, NFT_PAYLOAD_NETWORK_HEADER, 8, from, to, sizeof(from));
        nft_drop(batch, "dropped");
    }
    const int r = nft_batch_commit(batch, NULL);
    nft_batch_free(batch);
    return r;
}

static void a_batch_that_has_no_room_is_not_sent_in_part(void **state)
{
    unsigned fits = 0, too_many = RULES_MAX;

    (void)state;
    assert_int_equal(commit(too_many), -E2BIG);
    assert_int_equal(played.n_sent, 0);
    while (too_many - fits > 1) {
        const unsigned middle = (fits + too_many) / 2;
        const int r = commit(middle);

        assert_true(r == 0 || r == -E2BIG);
        *(r == 0 ? &fits : &too_many) = middle;
        played.n_messages = 0;
    }
    assert_true(fits > 100);
    memset(&played, 0, sizeof(played));
    assert_int_equal(commit(fits), 0);
    assert_int_equal(played.n_messages, fits + 2); /* all of them */
    assert_int_equal(played.asked, fits + 1);
}

static void a_batch_is_taken_while_its_last_message_has_room_and_no_longer(void **state)
{
    /* All but one are 116 octets each: nearly as much as there is room for. */
    enum { COUNTERS = 1040, NAME_SIZE = 66, NAME_MAX_SIZE = 400 };
    size_t most = 0;

    (void)state;
    for (size_t last = 1; last < NAME_MAX_SIZE; last++) {
        char name[NAME_MAX_SIZE] = {0}, last_name[NAME_MAX_SIZE] = {0};
        NftBatch *batch = NULL;

        memset(name, 'a', NAME_SIZE);
        memset(last_name, 'a', last);
        assert_int_equal(nft_batch_new("tred", &batch), 0);
        for (unsigned i = 0; i < COUNTERS; i++)
            nft_add_counter(batch, name);
        nft_add_counter(batch, last_name);
        memset(&played, 0, sizeof(played));
        if (nft_batch_commit(batch, NULL) == 0)
            most = played.last_begins;
        nft_batch_free(batch);
    }
    assert_int_equal(most, LAST_BEGINS_MAX);
}

static void assert_asks(size_t nth, const char *name, enum nft_cmp_ops operator, uint8_t value)
{
    assert_string_equal(played.expressions[nth].name, name);
    if (strcmp(name, "cmp") != 0)
        return;
    assert_int_equal(played.expressions[nth].operator, operator);
    assert_int_equal(played.expressions[nth].value, value);
}

static void a_value_is_compared_once_and_a_range_at_both_its_ends(void **state)
{
    const uint8_t from = 3, to = 9;
    NftBatch *batch = NULL;

    (void)state;
    assert_int_equal(nft_batch_new("tred", &batch), 0);
    nft_rule_begin(batch, "out");
    nft_match_payload(batch, NFT_PAYLOAD_NETWORK_HEADER, 8, &from, &from, 1);
    nft_match_payload(batch, NFT_PAYLOAD_NETWORK_HEADER, 9, &from, &to, 1);
    nft_drop(batch, "dropped");
    assert_int_equal(nft_batch_commit(batch, NULL), 0);
    nft_batch_free(batch);
    assert_int_equal(played.n_expressions, 7);
    assert_asks(0, "payload", 0, 0);
    assert_asks(1, "cmp", NFT_CMP_EQ, from);
    assert_asks(2, "payload", 0, 0);
    assert_asks(3, "cmp", NFT_CMP_GTE, from);
    assert_asks(4, "cmp", NFT_CMP_LTE, to);
    assert_asks(5, "objref", 0, 0);
    assert_asks(6, "immediate", 0, 0);
}

/* A message of nf_tables, with a table's name of that size. */
static bool tells(uint16_t type, uint16_t attribute, const char *name, size_t size)
{
    _Alignas(max_align_t) uint8_t octets[MESSAGE_SIZE] = {0};
    struct nlmsghdr *header = mnl_nlmsg_put_header(octets);

    header->nlmsg_type = type;
    (void)mnl_nlmsg_put_extra_header(header, sizeof(struct nfgenmsg));
    mnl_attr_put(header, attribute, size, name);
    return nft_tells_deletion(header, "tred");
}

static void what_is_deleted_of_our_table_is_told_from_all_else(void **state)
{
    static const uint8_t deletions[] = {NFT_MSG_DELTABLE, NFT_MSG_DELCHAIN, NFT_MSG_DELRULE,
                                        NFT_MSG_DELOBJ};

    (void)state;
    for (uint16_t type = 0; type < NFT_MSG_MAX; type++) {
        const bool is_deletion = memchr(deletions, type, sizeof(deletions));

        assert_int_equal(tells(TABLES | type, NFTA_TABLE_NAME, "tred", 5), is_deletion);
        assert_false(tells(TABLES | type, NFTA_TABLE_NAME, "tred2", 6));
        assert_false(tells(TABLES | type, NFTA_TABLE_NAME, "tre", 4));
        assert_false(tells(TABLES | type, NFTA_TABLE_NAME, "tred", 4)); /* it does not end */
        assert_false(tells(TABLES | type, NFTA_TABLE_FLAGS, "tred", 5));
    }
}

static void a_counter_is_what_the_kernel_has_counted_of_packets(void **state)
{
    _Alignas(max_align_t) uint8_t octets[MESSAGE_SIZE] = {0};
    struct nlmsghdr *header = mnl_nlmsg_put_header(octets);
    uint64_t value = 0;

    (void)state;
    (void)mnl_nlmsg_put_extra_header(header, sizeof(struct nfgenmsg));
    mnl_attr_put_u64(header, NFTA_OBJ_HANDLE, htobe64(5));
    struct nlattr *data = mnl_attr_nest_start(header, NFTA_OBJ_DATA);
    mnl_attr_put_u64(header, NFTA_COUNTER_PACKETS, htobe64(UINT64_C(7) << 32));
    mnl_attr_put_u64(header, NFTA_COUNTER_BYTES, htobe64(6));
    mnl_attr_nest_end(header, data);
    played.answer = header;
    assert_int_equal(nft_counter_get(NULL, "tred", "dropped", &value), 0);
    assert_true(value == UINT64_C(7) << 32);
    played.answer = NULL;
    played.dump_error = -ENOENT;
    assert_int_equal(nft_counter_get(NULL, "tred", "dropped", &value), -ENOENT);
}

#define NFT(test) cmocka_unit_test_setup(test, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NFT(rules_are_sent_between_the_ends_of_one_batch),
        NFT(what_the_kernel_says_of_a_batch_is_told),
        NFT(a_batch_that_has_no_room_is_not_sent_in_part),
        NFT(a_batch_is_taken_while_its_last_message_has_room_and_no_longer),
        NFT(a_value_is_compared_once_and_a_range_at_both_its_ends),
        NFT(what_is_deleted_of_our_table_is_told_from_all_else),
        NFT(a_counter_is_what_the_kernel_has_counted_of_packets),
    };

    return cmocka_run_group_tests_name("nft", tests, NULL, NULL);
}
