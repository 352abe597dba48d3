/* Is each call written as the interface has it, and each answer of tred's read? */
#include "base/cleanup.h"
#include "ikeclient/tremessage.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define EXCHANGE "/org/tred/TrE1/exchange/7"
#define PROPERTIES "org.freedesktop.DBus.Properties"

static sd_bus *bus; /* nobody is at its other end */
static Reason reason;

static int setup(void **state)
{
    int sockets[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    assert_int_equal(sd_bus_new(&bus), 0);
    assert_int_equal(sd_bus_set_fd(bus, sockets[0], sockets[0]), 0);
    assert_int_equal(sd_bus_negotiate_fds(bus, true), 0);
    assert_true(sd_bus_start(bus) >= 0);
    assert_int_equal(close(sockets[1]), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sd_bus_close_unref(bus);
    return 0;
}

static Bytes bytes(const char *text)
{
    return (Bytes){(const uint8_t *)text, strlen(text)};
}

static void assert_bytes(Bytes found, const char *text)
{
    assert_int_equal(found.size, strlen(text));
    assert_memory_equal(found.data, text, found.size);
}

/* ---- calls ---- */

static sd_bus_message *written(const TreCall *call)
{
    sd_bus_message *m = NULL;

    assert_int_equal(tre_message_new(bus, call, &m), 0);
    assert_true(sd_bus_message_seal(m, 1, 0) >= 0);
    assert_string_equal(sd_bus_message_get_destination(m), TRE_NAME);
    return m;
}

/* The message that one to the exchange becomes, to be read: caller's to unref. */
static sd_bus_message *exchange_call(TreCall call, const char *member, const char *signature)
{
    call.exchange = EXCHANGE;
    sd_bus_message *m = written(&call);

    assert_string_equal(sd_bus_message_get_path(m), EXCHANGE);
    assert_string_equal(sd_bus_message_get_interface(m), TRE_EXCHANGE);
    assert_string_equal(sd_bus_message_get_member(m), member);
    assert_string_equal(sd_bus_message_get_signature(m, true), signature);
    assert_false(sd_bus_message_get_auto_start(m));
    return m;
}

static void what_begins_an_exchange_may_start_tred_and_nothing_else_may(void **state)
{
    const TreCall describe = {.method = TRE_DESCRIBE};
    const TreCall begin = {.method = TRE_BEGIN, .begin.group = 19};
    const char *interface;
    uint16_t group;

    (void)state;
    sd_bus_message *m = written(&describe);
    assert_string_equal(sd_bus_message_get_path(m), TRE_PATH);
    assert_string_equal(sd_bus_message_get_interface(m), PROPERTIES);
    assert_string_equal(sd_bus_message_get_member(m), "GetAll");
    assert_true(sd_bus_message_get_auto_start(m));
    assert_true(sd_bus_message_read(m, "s", &interface) > 0);
    assert_string_equal(interface, TRE_MANAGER);
    sd_bus_message_unref(m);

    m = written(&begin);
    assert_string_equal(sd_bus_message_get_path(m), TRE_PATH);
    assert_string_equal(sd_bus_message_get_interface(m), TRE_MANAGER);
    assert_string_equal(sd_bus_message_get_member(m), "BeginExchange");
    assert_true(sd_bus_message_get_auto_start(m));
    assert_string_equal(sd_bus_message_get_signature(m, true), "q");
    assert_true(sd_bus_message_read(m, "q", &group) > 0);
    assert_int_equal(group, 19);
    sd_bus_message_unref(m);
}

static void a_segw_of_another_section_is_named(void **state)
{
    const TreCall begin = {.method = TRE_BEGIN, .begin = {.segw = "other", .group = 31}};
    const char *segw;
    uint16_t group;

    (void)state;
    sd_bus_message *m = written(&begin);
    assert_string_equal(sd_bus_message_get_member(m), "BeginExchangeWith");
    assert_true(sd_bus_message_read(m, "sq", &segw, &group) > 0);
    assert_string_equal(segw, "other");
    assert_int_equal(group, 31);
    sd_bus_message_unref(m);
}

static void calls_without_an_argument_have_none(void **state)
{
    static const struct {
        TreMethod method;
        const char *member;
    } calls[] = {
        {TRE_FORK, "Fork"},
        {TRE_SIGN_AUTH, "SignAuth"},
        {TRE_VERIFY_PEER, "VerifyPeer"},
        {TRE_ALLOCATE_SPI, "AllocateSpi"},
        {TRE_INHERIT_CHILDREN, "InheritChildren"},
        {TRE_CLOSE, "Close"},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(calls); i++) {
        sd_bus_message *m =
            exchange_call((TreCall){.method = calls[i].method}, calls[i].member, "");
        sd_bus_message_unref(m);
    }
}

static void calls_about_a_number_have_that(void **state)
{
    static const struct {
        TreMethod method;
        const char *member;
    } of_spi[] = {{TRE_ADD_CHILD, "AddChild"},
                  {TRE_REMOVE_CHILD, "RemoveChild"},
                  {TRE_USE_CHILD, "UseChild"}},
      of_group[] = {{TRE_CHOOSE_GROUP, "ChooseGroup"},
                    {TRE_PREPARE_CREATE_CHILD, "PrepareCreateChildSa"}};
    uint16_t group;
    uint32_t spi;
    uint64_t ike_spi, dscps;

    (void)state;
    for (size_t i = 0; i < ELEMENTS(of_spi); i++) {
        sd_bus_message *m = exchange_call(
            (TreCall){.method = of_spi[i].method, .spi_in = 0xfedcba98}, of_spi[i].member, "u");
        assert_true(sd_bus_message_read(m, "u", &spi) > 0);
        assert_int_equal(spi, 0xfedcba98);
        sd_bus_message_unref(m);
    }
    for (size_t i = 0; i < ELEMENTS(of_group); i++) {
        sd_bus_message *m = exchange_call((TreCall){.method = of_group[i].method, .group = 20},
                                          of_group[i].member, "q");
        assert_true(sd_bus_message_read(m, "q", &group) > 0);
        assert_int_equal(group, 20);
        sd_bus_message_unref(m);
    }
    sd_bus_message *m = exchange_call(
        (TreCall){.method = TRE_ADD_IKE_SA, .spi = 0xfedcba9876543210}, "AddIkeSa", "t");
    assert_true(sd_bus_message_read(m, "t", &ike_spi) > 0);
    assert_int_equal(ike_spi, 0xfedcba9876543210);
    sd_bus_message_unref(m);
    m = exchange_call((TreCall){.method = TRE_SET_DSCPS, .sends = {7, 1ULL << 46}}, "SetDscps",
                      "ut");
    assert_true(sd_bus_message_read(m, "ut", &spi, &dscps) > 0);
    assert_int_equal(spi, 7);
    assert_int_equal(dscps, 1ULL << 46);
    sd_bus_message_unref(m);
}

static Bytes octets_read(sd_bus_message *m)
{
    const void *data = NULL;
    size_t size = 0;

    assert_true(sd_bus_message_read_array(m, 'y', &data, &size) >= 0);
    return (Bytes){data, size};
}

static void calls_about_octets_have_them(void **state)
{
    uint8_t type, first;
    int response, nat;
    uint32_t most;
    uint16_t port;

    (void)state;
    sd_bus_message *m = exchange_call(
        (TreCall){.method = TRE_AGREE, .agree = {bytes("request"), bytes("response")}}, "Agree",
        "ayay");
    assert_bytes(octets_read(m), "request");
    assert_bytes(octets_read(m), "response");
    sd_bus_message_unref(m);

    m = exchange_call((TreCall){.method = TRE_UNPROTECT, .datagram = bytes("sealed")}, "Unprotect",
                      "ay");
    assert_bytes(octets_read(m), "sealed");
    sd_bus_message_unref(m);

    m = exchange_call(
        (TreCall){.method = TRE_PROTECT, .protect = {35, true, 41, bytes("payloads"), 1280}},
        "Protect", "ybyayu");
    assert_true(sd_bus_message_read(m, "yby", &type, &response, &first) > 0);
    assert_int_equal(type, 35);
    assert_true(response);
    assert_int_equal(first, 41);
    assert_bytes(octets_read(m), "payloads");
    assert_true(sd_bus_message_read(m, "u", &most) > 0);
    assert_int_equal(most, 1280);
    sd_bus_message_unref(m);

    static const TreMethod of_remote[] = {TRE_OPEN_TRANSPORT, TRE_MOVE_TRANSPORT};
    static const char *const names[] = {"OpenTransport", "MoveTransport"};
    for (size_t i = 0; i < ELEMENTS(of_remote); i++) {
        m = exchange_call((TreCall){.method = of_remote[i], .remote = {bytes("addr"), 4500, true}},
                          names[i], "ayqb");
        assert_bytes(octets_read(m), "addr");
        assert_true(sd_bus_message_read(m, "qb", &port, &nat) > 0);
        assert_int_equal(port, 4500);
        assert_true(nat);
        sd_bus_message_unref(m);
    }
}

static void traffic_is_a_property_of_the_exchange(void **state)
{
    const TreCall traffic = {.method = TRE_TRAFFIC, .exchange = EXCHANGE};
    const char *interface, *name;

    (void)state;
    sd_bus_message *m = written(&traffic);
    assert_string_equal(sd_bus_message_get_interface(m), PROPERTIES);
    assert_string_equal(sd_bus_message_get_member(m), "Get");
    assert_string_equal(sd_bus_message_get_path(m), EXCHANGE);
    assert_false(sd_bus_message_get_auto_start(m));
    assert_true(sd_bus_message_read(m, "ss", &interface, &name) > 0);
    assert_string_equal(interface, TRE_EXCHANGE);
    assert_string_equal(name, "Children");
    sd_bus_message_unref(m);
}

/* ---- answers ---- */

/* An empty one to a call of ours: the caller's. */
static sd_bus_message *answer_new(void)
{
    const TreCall call = {.method = TRE_CLOSE, .exchange = EXCHANGE};
    sd_bus_message *asked = written(&call), *m = NULL;

    assert_true(sd_bus_message_new_method_return(asked, &m) >= 0);
    sd_bus_message_unref(asked);
    return m;
}

/* Reads it as the answer to another method, too. */
static void answer_read_as(sd_bus_message *m, TreMethod method, TreReply *ret)
{
    assert_true(sd_bus_message_rewind(m, true) >= 0);
    tre_message_read(m, method, &reason, ret);
    assert_int_equal(ret->method, method);
}

/* Reads what was appended. */
static void answer_read(sd_bus_message *m, TreMethod method, TreReply *ret)
{
    assert_true(sd_bus_message_seal(m, 2, 0) >= 0);
    answer_read_as(m, method, ret);
}

#define APPEND(m, ...) assert_true(sd_bus_message_append(m, __VA_ARGS__) >= 0)

static void append_octets(sd_bus_message *m, const char *text)
{
    assert_true(sd_bus_message_append_array(m, 'y', text, strlen(text)) >= 0);
}

/* Of `count` times the same octets. */
static void append_list(sd_bus_message *m, const char *text, size_t count)
{
    assert_true(sd_bus_message_open_container(m, 'a', "ay") >= 0);
    for (size_t i = 0; i < count; i++)
        append_octets(m, text);
    assert_true(sd_bus_message_close_container(m) >= 0);
}

static void append_property_list(sd_bus_message *m, const char *name, const char *text,
                                 size_t count)
{
    assert_true(sd_bus_message_open_container(m, 'e', "sv") >= 0);
    APPEND(m, "s", name);
    assert_true(sd_bus_message_open_container(m, 'v', "aay") >= 0);
    append_list(m, text, count);
    assert_true(sd_bus_message_close_container(m) >= 0);
    assert_true(sd_bus_message_close_container(m) >= 0);
}

static TreOutcome description_of_lists(const char *name, size_t count, TreReply *ret)
{
    sd_bus_message *m = answer_new();

    assert_true(sd_bus_message_open_container(m, 'a', "{sv}") >= 0);
    append_property_list(m, name, "octets", count);
    assert_true(sd_bus_message_close_container(m) >= 0);
    answer_read(m, TRE_DESCRIBE, ret);
    const TreOutcome outcome = ret->outcome;
    sd_bus_message_unref(m);
    return outcome;
}

static void each_property_that_counts_is_read_and_others_are_passed_over(void **state)
{
    sd_bus_message *m = answer_new();
    TreReply reply;

    (void)state;
    APPEND(m, "a{sv}", 9, "State", "s", "ready", "Unheard", "a(st)", 1, "x", 7ULL, "StateReason",
           "s", "why", "Identity", "s", "henb", "SegwIdentity", "s", "segw", "DataPlane", "s",
           "user", "OcspWanted", "b", 1, "StrongerChild", "b", 0, "More", "u", 1);
    answer_read(m, TRE_DESCRIBE, &reply);
    assert_int_equal(reply.outcome, TRE_DONE);
    assert_string_equal(reply.text, "");
    assert_string_equal(reply.error, "");
    assert_string_equal(reply.description.state, "ready");
    assert_string_equal(reply.description.reason, "why");
    assert_string_equal(reply.description.identity, "henb");
    assert_string_equal(reply.description.segw_identity, "segw");
    assert_string_equal(reply.description.data_plane, "user");
    assert_true(reply.description.ocsp_wanted);
    assert_false(reply.description.stronger_child);
    assert_int_equal(reply.description.n_certificates, 0);
    assert_int_equal(reply.description.n_anchors, 0);
    sd_bus_message_unref(m);

    m = answer_new();
    APPEND(m, "a{sv}", 2, "OcspWanted", "b", 0, "StrongerChild", "b", 1);
    answer_read(m, TRE_DESCRIBE, &reply);
    assert_string_equal(reply.description.state, "");
    assert_string_equal(reply.description.identity, "");
    assert_false(reply.description.ocsp_wanted);
    assert_true(reply.description.stronger_child);
    sd_bus_message_unref(m);
}

static void lists_are_read_up_to_what_is_kept_and_not_cut(void **state)
{
    TreReply reply;

    (void)state;
    assert_int_equal(description_of_lists("CertificateChain", TRE_CHAIN_MAX, &reply), TRE_DONE);
    assert_int_equal(reply.description.n_certificates, TRE_CHAIN_MAX);
    assert_int_equal(reply.description.n_anchors, 0);
    assert_int_equal(description_of_lists("CertificateChain", TRE_CHAIN_MAX + 1, &reply), TRE_GONE);
    assert_int_equal(description_of_lists("AnchorHashes", TRE_ANCHORS_MAX, &reply), TRE_DONE);
    assert_int_equal(reply.description.n_anchors, TRE_ANCHORS_MAX);
    assert_int_equal(reply.description.n_certificates, 0);
    assert_int_equal(description_of_lists("AnchorHashes", TRE_ANCHORS_MAX + 1, &reply), TRE_GONE);
}

static void an_exchange_that_was_begun_has_its_keys_and_with_a_section_who_it_is_for(void **state)
{
    sd_bus_message *m = answer_new();
    TreReply reply;

    (void)state;
    APPEND(m, "ot", EXCHANGE, 0x0123456789abcdefULL);
    append_octets(m, "nonce");
    append_octets(m, "ke");
    answer_read(m, TRE_BEGIN, &reply);
    assert_int_equal(reply.outcome, TRE_DONE);
    assert_string_equal(reply.begun.exchange, EXCHANGE);
    assert_int_equal(reply.begun.spi_i, 0x0123456789abcdefULL);
    assert_bytes(reply.begun.nonce_i, "nonce");
    assert_bytes(reply.begun.ke_i, "ke");
    assert_null(reply.begun.segw_identity);
    sd_bus_message_unref(m);

    m = answer_new();
    APPEND(m, "ot", EXCHANGE, 1ULL);
    append_octets(m, "nonce");
    append_octets(m, "ke");
    APPEND(m, "s", "segw");
    append_list(m, "hash", 2);
    answer_read(m, TRE_BEGIN, &reply);
    assert_int_equal(reply.outcome, TRE_DONE);
    assert_string_equal(reply.begun.segw_identity, "segw");
    assert_int_equal(reply.begun.n_anchors, 2);
    assert_bytes(reply.begun.anchors[1], "hash");
    sd_bus_message_unref(m);
}

static void what_tred_has_signed_sealed_and_opened_is_read(void **state)
{
    TreReply reply;

    (void)state;
    sd_bus_message *m = answer_new();
    APPEND(m, "y", 2);
    append_octets(m, "id");
    APPEND(m, "y", 14);
    append_octets(m, "auth");
    answer_read(m, TRE_SIGN_AUTH, &reply);
    assert_int_equal(reply.outcome, TRE_DONE);
    assert_int_equal(reply.signed_.id_type, 2);
    assert_bytes(reply.signed_.id_data, "id");
    assert_int_equal(reply.signed_.auth_method, 14);
    assert_bytes(reply.signed_.auth_data, "auth");
    sd_bus_message_unref(m);

    for (size_t more = 0; more <= 1; more++) {
        m = answer_new();
        APPEND(m, "u", 5);
        append_list(m, "datagram", DATAGRAMS_MAX + more);
        answer_read(m, TRE_PROTECT, &reply);
        assert_int_equal(reply.outcome, more ? TRE_GONE : TRE_DONE);
        if (!more) {
            assert_int_equal(reply.sealed.message_id, 5);
            assert_int_equal(reply.sealed.count, DATAGRAMS_MAX);
            assert_bytes(reply.sealed.datagrams[DATAGRAMS_MAX - 1], "datagram");
        }
        sd_bus_message_unref(m);
    }

    for (int complete = 0; complete <= 1; complete++) {
        m = answer_new();
        APPEND(m, "bybuy", complete, 37, !complete, 9, 42);
        append_octets(m, "payloads");
        answer_read(m, TRE_UNPROTECT, &reply);
        assert_int_equal(reply.opened.complete, complete);
        assert_int_equal(reply.opened.response, !complete);
        assert_int_equal(reply.opened.exchange_type, 37);
        assert_int_equal(reply.opened.message_id, 9);
        assert_int_equal(reply.opened.first, 42);
        assert_bytes(reply.opened.payloads, "payloads");
        sd_bus_message_unref(m);
    }
}

static void what_is_one_string_number_or_list_of_octets_is_read(void **state)
{
    TreReply reply;

    (void)state;
    sd_bus_message *m = answer_new();
    APPEND(m, "s", "suite");
    answer_read(m, TRE_AGREE, &reply);
    assert_string_equal(reply.suite, "suite");
    answer_read_as(m, TRE_VERIFY_PEER, &reply);
    assert_string_equal(reply.peer_identity, "suite");
    answer_read_as(m, TRE_ADD_CHILD, &reply);
    assert_string_equal(reply.interface, "suite");
    sd_bus_message_unref(m);

    m = answer_new();
    APPEND(m, "o", EXCHANGE);
    answer_read(m, TRE_FORK, &reply);
    assert_string_equal(reply.begun.exchange, EXCHANGE);
    answer_read_as(m, TRE_ADD_IKE_SA, &reply);
    assert_string_equal(reply.exchange, EXCHANGE);
    sd_bus_message_unref(m);

    m = answer_new();
    APPEND(m, "u", 0xfedcba98);
    answer_read(m, TRE_ALLOCATE_SPI, &reply);
    assert_int_equal(reply.spi_in, 0xfedcba98);
    sd_bus_message_unref(m);

    m = answer_new();
    append_octets(m, "ke");
    answer_read(m, TRE_CHOOSE_GROUP, &reply);
    assert_bytes(reply.ke_i, "ke");
    sd_bus_message_unref(m);

    m = answer_new();
    APPEND(m, "t", 77ULL);
    append_octets(m, "nonce");
    append_octets(m, "");
    answer_read(m, TRE_PREPARE_CREATE_CHILD, &reply);
    assert_int_equal(reply.prepared.spi, 77);
    assert_bytes(reply.prepared.nonce, "nonce");
    assert_bytes(reply.prepared.ke, "");
    sd_bus_message_unref(m);
}

static void an_answer_that_was_expected_otherwise_is_as_good_as_none(void **state)
{
    static const TreMethod methods[] = {
        TRE_DESCRIBE,    TRE_BEGIN,          TRE_CHOOSE_GROUP, TRE_AGREE,
        TRE_FORK,        TRE_SIGN_AUTH,      TRE_PROTECT,      TRE_UNPROTECT,
        TRE_VERIFY_PEER, TRE_OPEN_TRANSPORT, TRE_ALLOCATE_SPI, TRE_ADD_CHILD,
        TRE_ADD_IKE_SA,  TRE_MOVE_TRANSPORT, TRE_TRAFFIC,      TRE_PREPARE_CREATE_CHILD,
    };
    TreReply reply;

    (void)state;
    for (size_t i = 0; i < ELEMENTS(methods); i++) {
        sd_bus_message *m = answer_new();
        APPEND(m, "d", 1.5);
        answer_read(m, methods[i], &reply);
        assert_int_equal(reply.outcome, TRE_GONE);
        assert_non_null(strstr(reply.text, "of one version?"));
        sd_bus_message_unref(m);
    }
}

static void of_several_children_the_packets_are_added_and_the_busiest_tells_how_idle(void **state)
{
    sd_bus_message *m = answer_new();
    TreReply reply;

    (void)state;
    APPEND(m, "v", "aa{sv}", 3, 5, "PacketsIn", "t", 1ULL, "PacketsOut", "t", 20ULL, "Unheard", "s",
           "x", "IdleInMilliseconds", "t", 500ULL, "IdleOutMilliseconds", "t", 7000ULL, 4,
           "PacketsIn", "t", 2ULL, "PacketsOut", "t", 30ULL, "IdleInMilliseconds", "t", 900ULL,
           "IdleOutMilliseconds", "t", 6000ULL, 0);
    answer_read(m, TRE_TRAFFIC, &reply);
    assert_int_equal(reply.outcome, TRE_DONE);
    assert_int_equal(reply.traffic.children, 3);
    assert_int_equal(reply.traffic.packets_in, 3);
    assert_int_equal(reply.traffic.packets_out, 50);
    assert_int_equal(reply.traffic.idle_in_ms, 500);
    assert_int_equal(reply.traffic.idle_out_ms, 6000);
    sd_bus_message_unref(m);

    m = answer_new();
    APPEND(m, "v", "aa{sv}", 0);
    answer_read(m, TRE_TRAFFIC, &reply);
    assert_int_equal(reply.traffic.children, 0);
    assert_int_equal(reply.traffic.packets_in, 0);
    assert_int_equal(reply.traffic.idle_in_ms, UINT64_MAX);
    assert_int_equal(reply.traffic.idle_out_ms, UINT64_MAX);
    sd_bus_message_unref(m);
}

/* ---- errors ---- */

static void assert_error(const char *name, TreOutcome outcome, const char *error, const char *says)
{
    const TreCall call = {.method = TRE_CLOSE, .exchange = EXCHANGE};
    sd_bus_message *asked = written(&call), *m = NULL;
    TreReply reply;

    assert_true(sd_bus_message_new_method_errorf(asked, &m, name, "the message") >= 0);
    answer_read(m, TRE_SIGN_AUTH, &reply);
    assert_int_equal(reply.outcome, outcome);
    assert_string_equal(reply.error, error);
    if (!strstr(reply.text, says))
        fail_msg("'%s' lacks '%s'", reply.text, says);
    sd_bus_message_unref(m);
    sd_bus_message_unref(asked);
}

static void an_error_of_treds_own_is_a_refusal_and_its_words_are_passed_on(void **state)
{
    (void)state;
    assert_error("org.tred.TrE1.Error.PeerNotTrusted", TRE_REFUSED, "PeerNotTrusted",
                 "the message");
    assert_error("org.tred.TrE1.Error.", TRE_REFUSED, "", "the message");
}

static void any_other_error_says_what_is_wrong_with_the_bus_or_tred(void **state)
{
    (void)state;
    assert_error(SD_BUS_ERROR_ACCESS_DENIED, TRE_GONE, SD_BUS_ERROR_ACCESS_DENIED,
                 "(the message): run ikeclient as the user");
    assert_error(SD_BUS_ERROR_SERVICE_UNKNOWN, TRE_GONE, SD_BUS_ERROR_SERVICE_UNKNOWN,
                 "is not on the bus: start tred");
    assert_error(SD_BUS_ERROR_NAME_HAS_NO_OWNER, TRE_GONE, SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                 "is not on the bus: start tred");
    assert_error(SD_BUS_ERROR_NO_REPLY, TRE_GONE, SD_BUS_ERROR_NO_REPLY, "did not answer");
    assert_error(SD_BUS_ERROR_TIMEOUT, TRE_GONE, SD_BUS_ERROR_TIMEOUT, "did not answer");
    assert_error("org.example.Odd", TRE_GONE, "org.example.Odd",
                 "failed: org.example.Odd: the message");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_begins_an_exchange_may_start_tred_and_nothing_else_may),
        cmocka_unit_test(a_segw_of_another_section_is_named),
        cmocka_unit_test(calls_without_an_argument_have_none),
        cmocka_unit_test(calls_about_a_number_have_that),
        cmocka_unit_test(calls_about_octets_have_them),
        cmocka_unit_test(traffic_is_a_property_of_the_exchange),
        cmocka_unit_test(each_property_that_counts_is_read_and_others_are_passed_over),
        cmocka_unit_test(lists_are_read_up_to_what_is_kept_and_not_cut),
        cmocka_unit_test(an_exchange_that_was_begun_has_its_keys_and_with_a_section_who_it_is_for),
        cmocka_unit_test(what_tred_has_signed_sealed_and_opened_is_read),
        cmocka_unit_test(what_is_one_string_number_or_list_of_octets_is_read),
        cmocka_unit_test(an_answer_that_was_expected_otherwise_is_as_good_as_none),
        cmocka_unit_test(of_several_children_the_packets_are_added_and_the_busiest_tells_how_idle),
        cmocka_unit_test(an_error_of_treds_own_is_a_refusal_and_its_words_are_passed_on),
        cmocka_unit_test(any_other_error_says_what_is_wrong_with_the_bus_or_tred),
    };

    return cmocka_run_group_tests_name("ikeclient tremessage", tests, setup, teardown);
}
