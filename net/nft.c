/* Messages of nf_tables by libmnl: a batch stands in one buffer, and goes out in one piece. */
#include "net/nft.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

enum {
    BATCH_SIZE = 120 * 1024, /* with a heap that grows by brk() alone */
    MESSAGE_SIZE_MAX = 1024, /* of the longest rule, with room to spare */
};

struct NftBatch {
    const char *table;
    uint32_t sequence;
    struct nlmsghdr *message; /* the last one */
    struct nlattr *expressions;
    size_t size; /* up to that one */
    bool full;
    _Alignas(max_align_t) uint8_t buffer[BATCH_SIZE];
};

int nft_batch_new(const char *table, NftBatch **ret)
{
    NftBatch *batch = malloc(sizeof(*batch));
    if (!batch)
        return -ENOMEM;
    /* The buffer is left as it is: what is never written to takes no memory. */
    memset(batch, 0, offsetof(NftBatch, buffer));
    batch->table = table;
    *ret = batch;
    return 0;
}

void nft_batch_free(NftBatch *batch)
{
    free(batch);
}

static struct nlmsghdr *put_header(void *buffer, uint16_t type, uint16_t flags, uint32_t sequence,
                                   uint8_t family, uint16_t resource)
{
    struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
    header->nlmsg_type = type;
    header->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    header->nlmsg_seq = sequence;
    struct nfgenmsg *message = mnl_nlmsg_put_extra_header(header, sizeof(*message));
    message->nfgen_family = family;
    message->version = NFNETLINK_V0;
    message->res_id = htons(resource);
    return header;
}

/* The next message, behind the last one. */
static void begin(NftBatch *batch, uint16_t type, uint16_t flags, uint8_t family, uint16_t resource)
{
    if (batch->message)
        batch->size += batch->message->nlmsg_len;
    /* Sizes are multiples of NLMSG_ALIGNTO already: each attribute is padded. */
    if (batch->size + 2 * (size_t)MESSAGE_SIZE_MAX > sizeof(batch->buffer)) {
        batch->full = true;
        batch->size = 0; /* it will not be sent */
    }
    batch->message =
        put_header(batch->buffer + batch->size, type, flags, ++batch->sequence, family, resource);
}

static void begin_change(NftBatch *batch, uint16_t type, uint16_t flags)
{
    if (!batch->message)
        begin(batch, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    begin(batch, (NFNL_SUBSYS_NFTABLES << 8) | type, flags, NFPROTO_INET, 0);
}

void nft_add_table(NftBatch *batch)
{
    begin_change(batch, NFT_MSG_NEWTABLE, NLM_F_CREATE);
    mnl_attr_put_strz(batch->message, NFTA_TABLE_NAME, batch->table);
}

void nft_delete_table(NftBatch *batch)
{
    begin_change(batch, NFT_MSG_DELTABLE, 0);
    mnl_attr_put_strz(batch->message, NFTA_TABLE_NAME, batch->table);
}

static void put_u32(NftBatch *batch, uint16_t type, uint32_t value)
{
    mnl_attr_put_u32(batch->message, type, htonl(value));
}

void nft_add_counter(NftBatch *batch, const char *name)
{
    begin_change(batch, NFT_MSG_NEWOBJ, NLM_F_CREATE);
    mnl_attr_put_strz(batch->message, NFTA_OBJ_TABLE, batch->table);
    mnl_attr_put_strz(batch->message, NFTA_OBJ_NAME, name);
    put_u32(batch, NFTA_OBJ_TYPE, NFT_OBJECT_COUNTER);
    struct nlattr *data = mnl_attr_nest_start(batch->message, NFTA_OBJ_DATA);
    mnl_attr_nest_end(batch->message, data);
}

void nft_add_chain(NftBatch *batch, const char *name, uint32_t hook, int32_t priority)
{
    begin_change(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    mnl_attr_put_strz(batch->message, NFTA_CHAIN_TABLE, batch->table);
    mnl_attr_put_strz(batch->message, NFTA_CHAIN_NAME, name);
    struct nlattr *hooked = mnl_attr_nest_start(batch->message, NFTA_CHAIN_HOOK);
    put_u32(batch, NFTA_HOOK_HOOKNUM, hook);
    put_u32(batch, NFTA_HOOK_PRIORITY, (uint32_t)priority);
    mnl_attr_nest_end(batch->message, hooked);
    put_u32(batch, NFTA_CHAIN_POLICY, NF_ACCEPT);
    mnl_attr_put_strz(batch->message, NFTA_CHAIN_TYPE, "filter");

    begin_change(batch, NFT_MSG_DELRULE, 0);
    mnl_attr_put_strz(batch->message, NFTA_RULE_TABLE, batch->table);
    mnl_attr_put_strz(batch->message, NFTA_RULE_CHAIN, name);
}

void nft_rule_begin(NftBatch *batch, const char *chain)
{
    begin_change(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    mnl_attr_put_strz(batch->message, NFTA_RULE_TABLE, batch->table);
    mnl_attr_put_strz(batch->message, NFTA_RULE_CHAIN, chain);
    batch->expressions = mnl_attr_nest_start(batch->message, NFTA_RULE_EXPRESSIONS);
}

typedef struct Expression {
    struct nlattr *element;
    struct nlattr *data;
} Expression;

static Expression expression_begin(NftBatch *batch, const char *name)
{
    Expression expression;
    expression.element = mnl_attr_nest_start(batch->message, NFTA_LIST_ELEM);
    mnl_attr_put_strz(batch->message, NFTA_EXPR_NAME, name);
    expression.data = mnl_attr_nest_start(batch->message, NFTA_EXPR_DATA);
    return expression;
}

static void expression_end(NftBatch *batch, Expression expression)
{
    mnl_attr_nest_end(batch->message, expression.data);
    mnl_attr_nest_end(batch->message, expression.element);
}

static void compare(NftBatch *batch, enum nft_cmp_ops operator, const void * value, size_t size)
{
    Expression expression = expression_begin(batch, "cmp");
    put_u32(batch, NFTA_CMP_SREG, NFT_REG_1);
    put_u32(batch, NFTA_CMP_OP, operator);
    struct nlattr *data = mnl_attr_nest_start(batch->message, NFTA_CMP_DATA);
    mnl_attr_put(batch->message, NFTA_DATA_VALUE, size, value);
    mnl_attr_nest_end(batch->message, data);
    expression_end(batch, expression);
}

void nft_match_payload(NftBatch *batch, enum nft_payload_bases base, uint32_t offset,
                       const void *from, const void *to, size_t size)
{
    Expression expression = expression_begin(batch, "payload");
    put_u32(batch, NFTA_PAYLOAD_DREG, NFT_REG_1);
    put_u32(batch, NFTA_PAYLOAD_BASE, base);
    put_u32(batch, NFTA_PAYLOAD_OFFSET, offset);
    put_u32(batch, NFTA_PAYLOAD_LEN, (uint32_t)size);
    expression_end(batch, expression);
    if (from == to) {
        compare(batch, NFT_CMP_EQ, from, size);
    } else {
        compare(batch, NFT_CMP_GTE, from, size);
        compare(batch, NFT_CMP_LTE, to, size);
    }
}

void nft_match_meta(NftBatch *batch, enum nft_meta_keys key, const void *value, size_t size)
{
    Expression expression = expression_begin(batch, "meta");
    put_u32(batch, NFTA_META_DREG, NFT_REG_1);
    put_u32(batch, NFTA_META_KEY, key);
    expression_end(batch, expression);
    compare(batch, NFT_CMP_EQ, value, size);
}

void nft_match_ipsec(NftBatch *batch)
{
    const uint8_t has_transformation = 1;
    Expression expression = expression_begin(batch, "rt");
    put_u32(batch, NFTA_RT_DREG, NFT_REG_1);
    put_u32(batch, NFTA_RT_KEY, NFT_RT_XFRM);
    expression_end(batch, expression);
    compare(batch, NFT_CMP_EQ, &has_transformation, sizeof(has_transformation));
}

static void rule_end(NftBatch *batch, uint32_t verdict)
{
    Expression expression = expression_begin(batch, "immediate");
    put_u32(batch, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    struct nlattr *data = mnl_attr_nest_start(batch->message, NFTA_IMMEDIATE_DATA);
    struct nlattr *nested = mnl_attr_nest_start(batch->message, NFTA_DATA_VERDICT);
    put_u32(batch, NFTA_VERDICT_CODE, verdict);
    mnl_attr_nest_end(batch->message, nested);
    mnl_attr_nest_end(batch->message, data);
    expression_end(batch, expression);
    mnl_attr_nest_end(batch->message, batch->expressions);
}

void nft_accept(NftBatch *batch)
{
    rule_end(batch, NF_ACCEPT);
}

void nft_drop(NftBatch *batch, const char *counter)
{
    Expression expression = expression_begin(batch, "objref");
    put_u32(batch, NFTA_OBJREF_IMM_TYPE, NFT_OBJECT_COUNTER);
    mnl_attr_put_strz(batch->message, NFTA_OBJREF_IMM_NAME, counter);
    expression_end(batch, expression);
    rule_end(batch, NF_DROP);
}

int nft_batch_commit(NftBatch *batch, Netlink *netlink)
{
    if (!batch->message)
        return 0;
    /* Errors come in the order of the messages; the last one's answer is the end of all. */
    batch->message->nlmsg_flags |= NLM_F_ACK;
    uint32_t last = batch->sequence;
    begin(batch, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    if (batch->full)
        return -E2BIG;
    return netlink_send(netlink, batch->buffer, batch->size + batch->message->nlmsg_len, last);
}

static int find_packets(const struct nlattr *attribute, void *userdata)
{
    if (mnl_attr_get_type(attribute) == NFTA_COUNTER_PACKETS)
        *(uint64_t *)userdata = be64toh(mnl_attr_get_u64(attribute));
    return MNL_CB_OK;
}

static int find_data(const struct nlattr *attribute, void *userdata)
{
    if (mnl_attr_get_type(attribute) == NFTA_OBJ_DATA)
        return mnl_attr_parse_nested(attribute, find_packets, userdata);
    return MNL_CB_OK;
}

static int read_counter(const struct nlmsghdr *header, void *userdata)
{
    (void)mnl_attr_parse(header, sizeof(struct nfgenmsg), find_data, userdata);
    return MNL_CB_STOP;
}

int nft_counter_get(Netlink *netlink, const char *table, const char *name, uint64_t *ret)
{
    struct nfgenmsg *message;
    struct nlmsghdr *header = netlink_begin(netlink, (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETOBJ,
                                            0, sizeof(*message), &message);
    message->nfgen_family = NFPROTO_INET;
    message->version = NFNETLINK_V0;
    mnl_attr_put_strz(header, NFTA_OBJ_TABLE, table);
    mnl_attr_put_strz(header, NFTA_OBJ_NAME, name);
    mnl_attr_put_u32(header, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
    return netlink_dump(netlink, read_counter, ret);
}

typedef struct TableName {
    const char *wanted;
    bool found;
} TableName;

/* Tables, chains, rules and objects all name their table in the first attribute. */
static int compare_table(const struct nlattr *attribute, void *userdata)
{
    TableName *name = userdata;
    if (mnl_attr_get_type(attribute) == NFTA_TABLE_NAME &&
        mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0)
        name->found = strcmp(mnl_attr_get_str(attribute), name->wanted) == 0;
    return MNL_CB_OK;
}

bool nft_tells_deletion(const struct nlmsghdr *header, const char *table)
{
    TableName name = {.wanted = table};
    switch (header->nlmsg_type & 0xff) {
    case NFT_MSG_DELTABLE:
    case NFT_MSG_DELCHAIN:
    case NFT_MSG_DELRULE:
    case NFT_MSG_DELOBJ:
        (void)mnl_attr_parse(header, sizeof(struct nfgenmsg), compare_table, &name);
        break;
    default:
        break;
    }
    return name.found;
}
