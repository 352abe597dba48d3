/* Orders and reports cross a socket unchanged, and anything else is refused. */
#include "dataplane/order.h"

#include "base/helper.h"
#include "inner_fixture.h"

#include <errno.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/seeds.h"

static const char *seeds;

static Bytes encoded(const Order *order, uint8_t buffer[ORDER_SIZE_MAX])
{
    Writer writer;
    Bytes message = {0};
    writer_init(&writer, buffer, ORDER_SIZE_MAX);
    order_encode(&writer, order);
    assert_int_equal(writer_finish(&writer, &message), 0);
    return message;
}

static void assert_secrets_equal(const Secret *a, const Secret *b)
{
    assert_int_equal(a == NULL, b == NULL);
    if (a)
        assert_true(bytes_equal(secret_bytes(a), secret_bytes(b)));
}

static void check_sa(const SaOrder *sa)
{
    uint8_t buffer[ORDER_SIZE_MAX];
    Order order = {.type = ORDER_ADD_SA, .sa = (SaOrder *)(uintptr_t)sa};
    Bytes message = encoded(&order, buffer);
    _cleanup_(order_deinit) Order decoded = {0};
    assert_int_equal(order_decode(message, &decoded), 0);
    assert_int_equal(decoded.type, ORDER_ADD_SA);
    assert_int_equal(decoded.sa->spi_in, sa->spi_in);
    assert_int_equal(decoded.sa->spi_out, sa->spi_out);
    assert_int_equal(decoded.sa->transport, sa->transport);
    assert_ptr_equal(decoded.sa->suite.cipher, sa->suite.cipher);
    assert_ptr_equal(decoded.sa->suite.integ, sa->suite.integ);
    assert_int_equal(decoded.sa->suite.esn, sa->suite.esn);
    assert_secrets_equal(decoded.sa->encr_in, sa->encr_in);
    assert_secrets_equal(decoded.sa->integ_in, sa->integ_in);
    assert_secrets_equal(decoded.sa->encr_out, sa->encr_out);
    assert_secrets_equal(decoded.sa->integ_out, sa->integ_out);
    assert_memory_equal(&decoded.sa->ts_local, &sa->ts_local, sizeof(sa->ts_local));
    assert_memory_equal(&decoded.sa->ts_remote, &sa->ts_remote, sizeof(sa->ts_remote));
    assert_memory_equal(&decoded.sa->remote, &sa->remote, sizeof(sa->remote));
    assert_memory_equal(&decoded.sa->soft, &sa->soft, sizeof(sa->soft));
    assert_memory_equal(&decoded.sa->hard, &sa->hard, sizeof(sa->hard));
    assert_memory_equal(&decoded.sa->local, &sa->local, sizeof(sa->local));
    assert_int_equal(decoded.sa->udp_encapsulated, sa->udp_encapsulated);
    assert_int_equal(decoded.sa->segw, sa->segw);
    assert_int_equal(decoded.sa->interface, sa->interface);
    assert_int_equal(decoded.sa->standby, sa->standby);
    assert_int_equal(decoded.sa->mtu, sa->mtu);
    assert_int_equal(decoded.sa->copy_dscp, sa->copy_dscp);
    assert_int_equal(decoded.sa->ecn, sa->ecn);
    assert_int_equal(decoded.sa->dscps, sa->dscps);
    assert_int_equal(decoded.sa->n_addresses, sa->n_addresses);
    assert_memory_equal(decoded.sa->addresses, sa->addresses, sizeof(sa->addresses));
}

static void an_sa_of_every_suite_crosses_unchanged(void **state)
{
    (void)state;
    const uint16_t suites[][3] = {
        {IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE},
        {IKE_ENCR_AES_GCM_16, 256, IKE_INTEG_NONE},
        {IKE_ENCR_CHACHA20_POLY1305, 0, IKE_INTEG_NONE},
        {IKE_ENCR_AES_CBC, 128, IKE_INTEG_HMAC_SHA2_256_128},
        {IKE_ENCR_AES_CBC, 256, IKE_INTEG_HMAC_SHA2_256_128},
    };
    for (size_t i = 0; i < ELEMENTS(suites); i++) {
        _cleanup_(sa_order_freep) SaOrder *sa =
            sa_order_new(suites[i][0], suites[i][1], suites[i][2], i % 2);
        sa->spi_out = 0xcafe0001;
        sa->segw = 0xfedc0000 + (uint32_t)i;
        sa->standby = i % 2;
        sa->soft = (Lifetime){1, 2, 3};
        sa->hard = (Lifetime){UINT64_MAX, 5, 6};
        sa->copy_dscp = i % 2;
        sa->ecn = i % 3 != 0;
        sa->dscps = UINT64_C(0x8000400000000001) << i;
        check_sa(sa);
    }
}

static void an_order_that_is_done_with_leaves_nothing_in_the_secure_heap(void **state)
{
    (void)state;
    _cleanup_(sa_order_freep) SaOrder *sa =
        sa_order_new(IKE_ENCR_AES_CBC, 256, IKE_INTEG_HMAC_SHA2_256_128, true);
    Secret *const *const keys[] = {&sa->encr_in, &sa->integ_in, &sa->encr_out, &sa->integ_out};
    uint8_t buffer[ORDER_SIZE_MAX];
    Bytes message = encoded(&(Order){.type = ORDER_ADD_SA, .sa = sa}, buffer);
    const size_t used = CRYPTO_secure_used();
    Order decoded = {0};
    assert_int_equal(order_decode(message, &decoded), 0);
    for (size_t i = 0; i < ELEMENTS(keys); i++)
        assert_non_null(*keys[i]);
    assert_true(CRYPTO_secure_used() > used);
    order_deinit(&decoded);
    assert_int_equal(CRYPTO_secure_used(), used);
}

static void the_largest_sa_fits_a_message(void **state)
{
    (void)state;
    _cleanup_(sa_order_freep) SaOrder *sa =
        sa_order_new(IKE_ENCR_AES_CBC, 256, IKE_INTEG_HMAC_SHA2_256_128, true);
    for (size_t i = 0; i < IKE_SELECTORS_MAX; i++) {
        sa->ts_local.selectors[i] = sa->ts_local.selectors[1];
        sa->ts_remote.selectors[i] = sa->ts_remote.selectors[1];
    }
    sa->ts_local.n_selectors = sa->ts_remote.n_selectors = IKE_SELECTORS_MAX;
    sa->remote = (struct sockaddr_storage){.ss_family = AF_INET6};
    ((uint8_t *)&sa->remote)[3] = 1; /* port */
    sa->local = sa->remote;
    sa->n_addresses = DATAPLANE_ADDRESSES_MAX;
    for (size_t i = 0; i < sa->n_addresses; i++)
        sa->addresses[i] = (InnerAddress){16, 128, {0xfd, [15] = (uint8_t)i}};
    check_sa(sa);
}

/* They stand at the end. */
static void no_more_inner_addresses_are_taken_than_there_is_room_for(void **state)
{
    enum { EACH = 2 + 4 };
    (void)state;
    _cleanup_(sa_order_freep) SaOrder *sa =
        sa_order_new(IKE_ENCR_AES_CBC, 256, IKE_INTEG_HMAC_SHA2_256_128, true);
    sa->n_addresses = DATAPLANE_ADDRESSES_MAX;
    for (size_t i = 0; i < sa->n_addresses; i++)
        sa->addresses[i] = (InnerAddress){4, 32, {10, 0, 0, (uint8_t)i}};
    check_sa(sa);
    uint8_t buffer[ORDER_SIZE_MAX];
    const Bytes message = encoded(&(Order){.type = ORDER_ADD_SA, .sa = sa}, buffer);
    uint8_t *end = buffer + message.size;
    memcpy(end, end - EACH, EACH);
    end[-DATAPLANE_ADDRESSES_MAX * EACH - 1]++;
    Order decoded = {0};
    assert_int_equal(order_decode((Bytes){buffer, message.size + EACH}, &decoded), -EBADMSG);
}

/* As tred-net gets it where ESP is done in user space. */
static void an_sa_without_keys_crosses_without_keys(void **state)
{
    (void)state;
    _cleanup_(sa_order_freep) SaOrder *sa =
        sa_order_new(IKE_ENCR_AES_CBC, 256, IKE_INTEG_HMAC_SHA2_256_128, true);
    SaOrder keyless = *sa;
    keyless.encr_in = keyless.integ_in = keyless.encr_out = keyless.integ_out = NULL;
    check_sa(&keyless);
}

static void check_protect(const ProtectOrder *protect)
{
    uint8_t buffer[ORDER_SIZE_MAX];
    Order order = {.type = ORDER_PROTECT, .protect = (ProtectOrder *)(uintptr_t)protect};
    _cleanup_(order_deinit) Order decoded = {0};
    assert_int_equal(order_decode(encoded(&order, buffer), &decoded), 0);
    assert_int_equal(decoded.type, ORDER_PROTECT);
    assert_int_equal(decoded.protect->mode, protect->mode);
    assert_memory_equal(&decoded.protect->interfaces, &protect->interfaces,
                        sizeof(protect->interfaces));
    assert_memory_equal(&decoded.protect->networks, &protect->networks, sizeof(protect->networks));
    assert_memory_equal(&decoded.protect->except, &protect->except, sizeof(protect->except));
}

static void what_is_to_be_protected_crosses_unchanged_from_nothing_to_the_most(void **state)
{
    (void)state;
    ProtectOrder protect = {.mode = PROTECT_NO, .interfaces = {1, {"segw0"}}};
    check_protect(&protect);
    for (size_t i = 0; i < IKE_SELECTORS_MAX; i++) {
        const IkeSelector network = {.type = IKE_TS_IPV6_ADDR_RANGE,
                                     .end_port = UINT16_MAX,
                                     .start = {0xfd, (uint8_t)i},
                                     .end = {0xfd, (uint8_t)i, [15] = 0xff}};
        protect.networks.selectors[protect.networks.n_selectors++] = network;
        if (i == 0) {
            protect.mode = PROTECT_YES;
            check_protect(&protect);
        }
        protect.except.selectors[protect.except.n_selectors++] = network;
    }
    protect.interfaces = (InterfaceNames){DATAPLANE_INTERFACES_MAX, {{0}}};
    for (int i = 0; i < DATAPLANE_INTERFACES_MAX; i++)
        (void)snprintf(protect.interfaces.names[i], IFNAMSIZ, "fourteen-octe-%d", i);
    protect.mode = PROTECT_STRICT;
    check_protect(&protect);
}

static void a_protection_of_another_kind_or_of_no_interface_is_refused(void **state)
{
    (void)state;
    ProtectOrder protect = {.mode = PROTECT_MODES, .interfaces = {1, {"segw0"}}};
    Order order = {.type = ORDER_PROTECT, .protect = &protect}, decoded;
    uint8_t buffer[ORDER_SIZE_MAX];
    assert_int_equal(order_decode(encoded(&order, buffer), &decoded), -EBADMSG);
    protect = (ProtectOrder){.mode = PROTECT_YES};
    assert_int_equal(order_decode(encoded(&order, buffer), &decoded), -EBADMSG);
}

/* ORDER_OPEN: type, number, mode, the names' number, and each name behind its size. */
static void an_interface_name_that_the_kernel_would_not_take_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"", ".", "..", "a/b", "a b", "a:1", "a%d", "\x1b[0m"};
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        uint8_t buffer[ORDER_SIZE_MAX];
        Order order = {.type = ORDER_OPEN, .interfaces = {1, {{0}}}}, decoded;
        (void)snprintf(order.interfaces.names[0], IFNAMSIZ, "%s", names[i]);
        assert_int_equal(order_decode(encoded(&order, buffer), &decoded), -EBADMSG);
    }
    uint8_t name[8 + IFNAMSIZ] = {ORDER_OPEN, 0, 0, 0, 1, 0, 1, IFNAMSIZ - 1};
    Order decoded;
    memset(name + 8, 'a', IFNAMSIZ);
    assert_int_equal(order_decode((Bytes){name, sizeof(name) - 1}, &decoded), 0);
    name[7] = IFNAMSIZ;
    assert_int_equal(order_decode(BYTES_OF(name), &decoded), -EBADMSG);
}

static void no_interface_one_twice_and_more_than_there_may_be_are_refused(void **state)
{
    (void)state;
    uint8_t buffer[ORDER_SIZE_MAX];
    Order order = {.type = ORDER_OPEN}, decoded;
    assert_int_equal(order_decode(encoded(&order, buffer), &decoded), -EBADMSG);
    for (int i = 0; i < DATAPLANE_INTERFACES_MAX; i++) {
        (void)snprintf(order.interfaces.names[i], IFNAMSIZ, "segw%d", i);
        order.interfaces.n++;
        assert_int_equal(order_decode(encoded(&order, buffer), &decoded), 0);
        assert_memory_equal(&decoded.interfaces, &order.interfaces, sizeof(order.interfaces));
    }
    order.interfaces = (InterfaceNames){2, {"segw0", "segw0"}};
    assert_int_equal(order_decode(encoded(&order, buffer), &decoded), -EBADMSG);
    /* Type and number, mode, five names. */
    const uint8_t five[] = {ORDER_OPEN, 0, 0, 0, 1, 0, 5, 1, 'a', 1, 'b', 1, 'c', 1, 'd', 1, 'e'};
    assert_int_equal(order_decode(BYTES_OF(five), &decoded), -EBADMSG);
}

static void a_place_that_no_interface_has_is_refused(void **state)
{
    (void)state;
    static const OrderType types[] = {ORDER_OPEN_TUN, ORDER_CLOSE_TUN};
    uint8_t buffer[ORDER_SIZE_MAX];
    Order decoded;
    for (size_t i = 0; i < ELEMENTS(types); i++) {
        Order order = {.type = types[i], .id = DATAPLANE_INTERFACES_MAX - 1};
        assert_int_equal(order_decode(encoded(&order, buffer), &decoded), 0);
        assert_int_equal(decoded.id, order.id);
        order.id++;
        assert_int_equal(order_decode(encoded(&order, buffer), &decoded), -EBADMSG);
    }
    _cleanup_(sa_order_freep) SaOrder *sa =
        sa_order_new(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, true);
    sa->interface = DATAPLANE_INTERFACES_MAX - 1;
    check_sa(sa);
    sa->interface++;
    const Order order = {.type = ORDER_ADD_SA, .sa = sa};
    assert_int_equal(order_decode(encoded(&order, buffer), &decoded), -EBADMSG);
}

static void a_sentence_with_control_characters_is_refused(void **state)
{
    (void)state;
    uint8_t buffer[ORDER_SIZE_MAX];
    Writer writer;
    Bytes message = {0};
    Report report;
    writer_init(&writer, buffer, sizeof(buffer));
    answer_encode(&writer, &(Answer){.type = ORDER_OPEN, .error = -EIO, .reason = {"a\nb"}});
    assert_int_equal(writer_finish(&writer, &message), 0);
    assert_int_equal(report_decode(message, &report), -EBADMSG);
}

static void short_orders_cross_unchanged(void **state)
{
    (void)state;
    for (OrderType type = 1; type < ORDER_TYPES; type++) {
        if (type == ORDER_ADD_SA || type == ORDER_MOVE_SA || type == ORDER_PROTECT)
            continue;
        uint8_t buffer[ORDER_SIZE_MAX];
        Order order = {.type = type,
                       .number = 7,
                       .id = type == ORDER_OPEN_TUN || type == ORDER_CLOSE_TUN ? 3 : 0xaabbccdd,
                       .interfaces = {1, {"segw0"}},
                       .path = {.mtu = 1400}};
        Bytes message = encoded(&order, buffer);
        Order decoded;
        assert_int_equal(order_decode(message, &decoded), 0);
        assert_int_equal(decoded.type, type);
        assert_int_equal(decoded.number, 7);
        if (decoded.id != 0)
            assert_int_equal(decoded.id, order.id);
        if (type == ORDER_PATH_MTU)
            assert_int_equal(decoded.path.mtu, order.path.mtu);
    }
}

static void set_outer(struct sockaddr_storage *ret, sa_family_t family, uint8_t octet)
{
    *ret = (struct sockaddr_storage){.ss_family = family};
    memset((uint8_t *)ret + 2, octet, family == AF_INET ? 6 : 2); /* port, and IPv4 address */
    if (family == AF_INET6)
        memset(&((struct sockaddr_in6 *)ret)->sin6_addr, octet, 16);
}

static void a_new_path_crosses_unchanged_and_is_refused_cut_short(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        uint8_t buffer[ORDER_SIZE_MAX];
        const sa_family_t family = i ? AF_INET6 : AF_INET;
        Order order = {
            .type = ORDER_MOVE_SA,
            .number = 7,
            .id = 0xaabbccdd,
            .path = {.transport = 3, .udp_encapsulated = i, .mtu = 1300},
        };
        set_outer(&order.path.local, family, 0x11);
        set_outer(&order.path.remote, family, 0x22);
        Bytes message = encoded(&order, buffer);
        Order decoded;
        assert_int_equal(order_decode(message, &decoded), 0);
        assert_int_equal(decoded.id, order.id);
        assert_int_equal(decoded.path.transport, 3);
        assert_int_equal(decoded.path.udp_encapsulated, i);
        assert_int_equal(decoded.path.mtu, 1300);
        assert_memory_equal(&decoded.path.local, &order.path.local, sizeof(order.path.local));
        assert_memory_equal(&decoded.path.remote, &order.path.remote, sizeof(order.path.remote));
        for (size_t size = 0; size < message.size; size++)
            assert_int_equal(order_decode((Bytes){buffer, size}, &decoded), -EBADMSG);
    }
}

static void a_path_that_mixes_families_or_has_no_port_or_no_room_is_refused(void **state)
{
    (void)state;
    uint8_t buffer[ORDER_SIZE_MAX];
    Order good = {.type = ORDER_MOVE_SA, .path = {.mtu = 68}}, order, decoded;
    set_outer(&good.path.local, AF_INET, 1);
    set_outer(&good.path.remote, AF_INET, 2);
    assert_int_equal(order_decode(encoded(&good, buffer), &decoded), 0);
    order = good;
    set_outer(&order.path.local, AF_INET6, 1);
    assert_int_equal(order_decode(encoded(&order, buffer), &decoded), -EBADMSG);
    order = good;
    memset((uint8_t *)&order.path.remote + 2, 0, 2);
    assert_int_equal(order_decode(encoded(&order, buffer), &decoded), -EBADMSG);
    order = good;
    order.path.remote = (struct sockaddr_storage){0};
    assert_int_equal(order_decode(encoded(&order, buffer), &decoded), -EBADMSG);
    order = good;
    order.path.mtu = 67;
    assert_int_equal(order_decode(encoded(&order, buffer), &decoded), -EBADMSG);
}

static void an_order_cut_short_anywhere_is_refused(void **state)
{
    (void)state;
    _cleanup_(sa_order_freep) SaOrder *sa =
        sa_order_new(IKE_ENCR_AES_CBC, 128, IKE_INTEG_HMAC_SHA2_256_128, true);
    uint8_t buffer[ORDER_SIZE_MAX];
    Bytes message = encoded(&(Order){.type = ORDER_ADD_SA, .sa = sa}, buffer);
    for (size_t size = 0; size < message.size; size++) {
        Order decoded;
        assert_int_equal(order_decode((Bytes){buffer, size}, &decoded), -EBADMSG);
    }
}

static void an_octet_too_many_is_refused(void **state)
{
    (void)state;
    uint8_t buffer[ORDER_SIZE_MAX] = {0};
    Bytes message = encoded(&(Order){.type = ORDER_REMOVE_SA, .id = 1}, buffer);
    Order decoded;
    assert_int_equal(order_decode((Bytes){buffer, message.size + 1}, &decoded), -EBADMSG);
}

static void an_unknown_order_is_refused(void **state)
{
    (void)state;
    const uint8_t unknown[] = {0, ORDER_TYPES, 0xff};
    for (size_t i = 0; i < sizeof(unknown); i++) {
        Order decoded;
        const uint8_t message[] = {unknown[i], 0, 0, 0, 1};
        assert_int_equal(order_decode(BYTES_OF(message), &decoded), -EBADMSG);
    }
}

/* Where fields stand is this test's knowledge of the format: after type, number, two
 * SPIs, a transport, a SeGW and an interface; before the keys an octet says that there are some. */
static void an_sa_with_a_suite_or_key_size_of_no_profile_is_refused(void **state)
{
    (void)state;
    enum { SUITE_AT = 22, ESN_AT = 28, KEY_SIZE_AT = 30 };
    _cleanup_(sa_order_freep) SaOrder *sa =
        sa_order_new(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, true);
    uint8_t buffer[ORDER_SIZE_MAX];
    Bytes message = encoded(&(Order){.type = ORDER_ADD_SA, .sa = sa}, buffer);
    Order decoded;
    buffer[SUITE_AT + 1] = 3; /* 3DES */
    assert_int_equal(order_decode(message, &decoded), -EOPNOTSUPP);
    buffer[SUITE_AT + 1] = IKE_ENCR_AES_GCM_16;
    buffer[ESN_AT] = 2;
    assert_int_equal(order_decode(message, &decoded), -EBADMSG);
    buffer[ESN_AT] = 1;
    buffer[KEY_SIZE_AT + 1]--;
    assert_int_equal(order_decode(message, &decoded), -EBADMSG);
    buffer[KEY_SIZE_AT + 1]++;
    assert_int_equal(order_decode(message, &decoded), 0);
    order_deinit(&decoded);
}

static void answers_cross_unchanged(void **state)
{
    (void)state;
    const Answer answers[] = {
        {.type = ORDER_OPEN, .number = 3, .mode = DATAPLANE_USER},
        {.type = ORDER_OPEN, .number = 4, .error = -EEXIST, .reason = {"There is an interface"}},
        {.type = ORDER_SA_COUNTERS, .sa = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 17}},
        {.type = ORDER_PLANE_COUNTERS, .plane = {11, 12, 13, 14}},
        {.type = ORDER_PROTECTION_COUNTERS, .protection = {15, 16}},
        {.type = ORDER_ADD_SA, .error = -EINVAL, .reason = {"an MTU of 1 can't be set"}},
        {.type = ORDER_REMOVE_SA, .error = -ENOENT},
        {.type = ORDER_SA_COUNTERS, .error = -ENOENT},
    };
    for (size_t i = 0; i < ELEMENTS(answers); i++) {
        uint8_t buffer[ORDER_SIZE_MAX];
        Writer writer;
        Bytes message = {0};
        writer_init(&writer, buffer, sizeof(buffer));
        answer_encode(&writer, &answers[i]);
        assert_int_equal(writer_finish(&writer, &message), 0);
        Report report;
        assert_int_equal(report_decode(message, &report), 0);
        assert_memory_equal(&report.answer, &answers[i], sizeof(answers[i]));
        for (size_t size = 0; size < message.size; size++)
            assert_int_equal(report_decode((Bytes){buffer, size}, &report), -EBADMSG);
    }
}

static void events_cross_unchanged(void **state)
{
    (void)state;
    uint8_t buffer[ORDER_SIZE_MAX];
    Writer writer;
    Bytes message = {0};
    writer_init(&writer, buffer, sizeof(buffer));
    event_encode(&writer, &(DataPlaneEvent){DATAPLANE_HARD_LIFETIME, 0x01020304});
    assert_int_equal(writer_finish(&writer, &message), 0);
    Report report;
    assert_int_equal(report_decode(message, &report), 0);
    assert_int_equal(report.answer.type, 0);
    assert_int_equal(report.event.type, DATAPLANE_HARD_LIFETIME);
    assert_int_equal(report.event.spi_in, 0x01020304);
    buffer[1] = DATAPLANE_EVENT_TYPES; /* not the helper's to say */
    assert_int_equal(report_decode(message, &report), -EBADMSG);
}

static void an_inner_address_of_another_size_or_prefix_is_refused(void **state)
{
    (void)state;
    static const InnerAddress good[] = {{4, 0, {10}}, {4, 32, {10}}, {16, 128, {0xfd}}};
    static const InnerAddress bad[] = {{4, 33, {10}}, {16, 129, {0xfd}}, {0, 0, {0}},
                                       {3, 24, {10}}, {5, 32, {10}},     {15, 64, {0xfd}}};
    _cleanup_(sa_order_freep) SaOrder *sa =
        sa_order_new(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, true);
    const Order order = {.type = ORDER_ADD_SA, .sa = sa};
    uint8_t buffer[ORDER_SIZE_MAX];
    Order decoded;
    memset(sa->addresses, 0, sizeof(sa->addresses));
    sa->n_addresses = 1;
    for (size_t i = 0; i < ELEMENTS(good); i++) {
        sa->addresses[0] = good[i];
        check_sa(sa);
    }
    for (size_t i = 0; i < ELEMENTS(bad); i++) {
        sa->addresses[0] = bad[i];
        assert_int_equal(order_decode(encoded(&order, buffer), &decoded), -EBADMSG);
    }
}

static void a_data_plane_of_another_kind_is_refused(void **state)
{
    (void)state;
    uint8_t buffer[ORDER_SIZE_MAX];
    Order order = {.type = ORDER_OPEN, .mode = DATAPLANE_USER, .interfaces = {1, {"segw0"}}};
    Order decoded;
    assert_int_equal(order_decode(encoded(&order, buffer), &decoded), 0);
    assert_int_equal(decoded.mode, DATAPLANE_USER);
    order.mode = DATAPLANE_NONE;
    assert_int_equal(order_decode(encoded(&order, buffer), &decoded), -EBADMSG);
}

static void a_path_mtu_below_what_every_host_takes_is_refused(void **state)
{
    (void)state;
    uint8_t buffer[ORDER_SIZE_MAX];
    Order order = {.type = ORDER_PATH_MTU, .id = 1, .path = {.mtu = 68}}, decoded;
    assert_int_equal(order_decode(encoded(&order, buffer), &decoded), 0);
    order.path.mtu--;
    assert_int_equal(order_decode(encoded(&order, buffer), &decoded), -EBADMSG);
}

/* ORDER_PROTECT: type, number, mode, one name behind its size, and the size of the networks, which
 * begin with their number and three octets. */
static void selectors_of_another_type_or_number_are_refused(void **state)
{
    (void)state;
    enum { NUMBER_AT = 5 + 1 + 1 + 1 + 5 + 2, TYPE_AT = NUMBER_AT + 4 };
    ProtectOrder protect = {
        .mode = PROTECT_YES,
        .interfaces = {1, {"segw0"}},
        .networks = {.n_selectors = 1, .selectors = {{.type = IKE_TS_IPV4_ADDR_RANGE}}}};
    const Order order = {.type = ORDER_PROTECT, .protect = &protect};
    uint8_t buffer[ORDER_SIZE_MAX];
    Order decoded;
    const Bytes message = encoded(&order, buffer);
    assert_int_equal(buffer[NUMBER_AT], 1);
    assert_int_equal(buffer[TYPE_AT], IKE_TS_IPV4_ADDR_RANGE);
    buffer[NUMBER_AT]++;
    assert_int_equal(order_decode(message, &decoded), -EBADMSG);
    buffer[NUMBER_AT]--;
    buffer[TYPE_AT] = 9;
    assert_int_equal(order_decode(message, &decoded), -EBADMSG);
    buffer[TYPE_AT] = IKE_TS_IPV4_ADDR_RANGE;
    assert_int_equal(order_decode(message, &decoded), 0);
    order_deinit(&decoded);
}

/* ORDER_MOVE_SA: type, number, SPI and transport, and the family of the SeGW's address. */
static void an_address_of_another_family_is_refused(void **state)
{
    (void)state;
    enum { FAMILY_AT = 1 + 4 + 4 + 4 };
    Order order = {.type = ORDER_MOVE_SA, .path = {.mtu = 1400}}, decoded;
    uint8_t buffer[ORDER_SIZE_MAX];
    set_outer(&order.path.remote, AF_INET, 1);
    const Bytes message = encoded(&order, buffer);
    assert_int_equal(buffer[FAMILY_AT], 4);
    buffer[FAMILY_AT] = 5;
    assert_int_equal(order_decode(message, &decoded), -EBADMSG);
}

static Bytes answer_encoded(const Answer *answer, uint8_t buffer[ORDER_SIZE_MAX])
{
    Writer writer;
    Bytes message = {0};
    writer_init(&writer, buffer, ORDER_SIZE_MAX);
    answer_encode(&writer, answer);
    assert_int_equal(writer_finish(&writer, &message), 0);
    return message;
}

/* Kind, type, number, error, and then the size of the sentence. */
enum { ANSWER_TYPE_AT = 1, ANSWER_ERROR_AT = 6, ANSWER_TEXT_AT = 10 };

static void a_sentence_without_room_for_its_end_is_refused(void **state)
{
    (void)state;
    Answer answer = {.type = ORDER_ADD_SA, .error = -EIO};
    uint8_t buffer[ORDER_SIZE_MAX];
    Report report;
    memset(answer.reason.text, 'x', sizeof(answer.reason.text) - 1);
    Bytes message = answer_encoded(&answer, buffer);
    assert_int_equal(report_decode(message, &report), 0);
    assert_string_equal(report.answer.reason.text, answer.reason.text);
    buffer[message.size++] = 'x';
    buffer[ANSWER_TEXT_AT] = sizeof(answer.reason.text) >> 8;
    buffer[ANSWER_TEXT_AT + 1] = sizeof(answer.reason.text) & 0xff;
    assert_int_equal(report_decode(message, &report), -EBADMSG);
}

static void an_answer_to_no_order_or_of_no_error_is_refused(void **state)
{
    (void)state;
    static const uint8_t types[] = {0, ORDER_TYPES, 0xff};
    uint8_t buffer[ORDER_SIZE_MAX];
    Report report;
    const Bytes refused = answer_encoded(&(Answer){.type = ORDER_ADD_SA, .error = -1}, buffer);
    buffer[ANSWER_ERROR_AT + 2] = 0x7f;
    buffer[ANSWER_ERROR_AT + 3] = 0xff;
    assert_int_equal(report_decode(refused, &report), 0);
    assert_int_equal(report.answer.error, -INT16_MAX);
    buffer[ANSWER_ERROR_AT + 2] = 0x80;
    buffer[ANSWER_ERROR_AT + 3] = 0;
    assert_int_equal(report_decode(refused, &report), -EBADMSG);
    const Bytes taken = answer_encoded(&(Answer){.type = ORDER_ADD_SA}, buffer);
    assert_int_equal(report_decode(taken, &report), 0);
    for (size_t i = 0; i < ELEMENTS(types); i++) {
        buffer[ANSWER_TYPE_AT] = types[i];
        assert_int_equal(report_decode(taken, &report), -EBADMSG);
    }
}

static void a_data_plane_that_has_become_nothing_is_refused(void **state)
{
    (void)state;
    static const DataPlaneMode modes[] = {DATAPLANE_AUTO, DATAPLANE_NONE};
    uint8_t buffer[ORDER_SIZE_MAX];
    Report report;
    for (size_t i = 0; i < ELEMENTS(modes); i++) {
        const Answer answer = {.type = ORDER_OPEN, .mode = modes[i]};
        assert_int_equal(report_decode(answer_encoded(&answer, buffer), &report), -EBADMSG);
    }
}

static void a_report_of_another_kind_or_with_an_octet_too_many_is_refused(void **state)
{
    (void)state;
    const uint8_t event[] = {2, DATAPLANE_HARD_LIFETIME, 1, 2, 3, 4, 0};
    const uint8_t other[] = {3, DATAPLANE_HARD_LIFETIME, 1, 2, 3, 4};
    uint8_t buffer[ORDER_SIZE_MAX] = {0};
    Report report = {.event = {.spi_in = 9}};
    assert_int_equal(report_decode(BYTES_OF(event), &report), -EBADMSG);
    assert_int_equal(report_decode(BYTES_OF(other), &report), -EBADMSG);
    assert_int_equal(report_decode((Bytes){other, 1}, &report), -EBADMSG); /* nothing is left */
    assert_int_equal(report_decode((Bytes){0}, &report), -EBADMSG);
    Bytes message = answer_encoded(&(Answer){.type = ORDER_ADD_SA}, buffer);
    buffer[message.size++] = 0;
    assert_int_equal(report_decode(message, &report), -EBADMSG);
    assert_int_equal(report.event.spi_in, 9);
    assert_int_equal(report_decode((Bytes){event, sizeof(event) - 1}, &report), 0);
}

static int setup(void **state)
{
    (void)state;
    return secrets_init();
}

static void an_order_is_received_with_its_descriptor_and_wiped_where_it_stood(void **state)
{
    static const uint8_t none[ORDER_SIZE_MAX];
    const Order order = {.type = ORDER_OPEN_TRANSPORT, .number = 9, .id = 3};
    _cleanup_(secret_freep) Secret *message = NULL;
    uint8_t buffer[ORDER_SIZE_MAX];
    const Bytes octets = encoded(&order, buffer);
    int ends[2];

    (void)state;
    assert_int_equal(secret_new(ORDER_SIZE_MAX, &message), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    for (int whole = 0; whole < 2; whole++) {
        for (int handed = 0; handed < 2; handed++) {
            _cleanup_(order_deinit) Order found = {};
            int fd = -1;
            assert_int_equal(helper_send(ends[0], bytes_slice(octets, 0, octets.size - !whole),
                                         handed ? ends[0] : -1),
                             0);
            assert_int_equal(order_receive(ends[1], message, &found, &fd), whole ? 1 : -EBADMSG);
            assert_int_equal(found.number, whole ? 9 : 0);
            assert_int_equal(fd >= 0, whole && handed);
            assert_memory_equal(message->data, none, sizeof(none));
            close_fdp(&fd);
        }
    }
    Order found = {};
    int fd = -1;
    uint8_t longer[ORDER_SIZE_MAX + 1] = {1, 2, 3};
    assert_int_equal(helper_send(ends[0], BYTES_OF(longer), -1), 0);
    assert_int_equal(order_receive(ends[1], message, &found, &fd), -EMSGSIZE);
    assert_memory_equal(message->data, none, sizeof(none));
    close_fdp(&ends[0]);
    assert_int_equal(order_receive(ends[1], message, &found, &fd), 0);
    close_fdp(&ends[1]);
    assert_int_equal(order_receive(ends[1], message, &found, &fd), -EBADF);
}

/* Each is an order or a report. */
static int either_decode(Bytes message)
{
    Order order;
    Report report;
    const int r = order_decode(message, &order);

    if (r < 0)
        return report_decode(message, &report);
    order_deinit(&order);
    return 0;
}

static void the_fuzzers_seeds_are_what_is_read(void **state)
{
    (void)state;
    assert_seeds_decode(seeds, either_decode);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_sa_of_every_suite_crosses_unchanged),
        cmocka_unit_test(an_order_that_is_done_with_leaves_nothing_in_the_secure_heap),
        cmocka_unit_test(the_largest_sa_fits_a_message),
        cmocka_unit_test(no_more_inner_addresses_are_taken_than_there_is_room_for),
        cmocka_unit_test(an_sa_without_keys_crosses_without_keys),
        cmocka_unit_test(what_is_to_be_protected_crosses_unchanged_from_nothing_to_the_most),
        cmocka_unit_test(a_protection_of_another_kind_or_of_no_interface_is_refused),
        cmocka_unit_test(no_interface_one_twice_and_more_than_there_may_be_are_refused),
        cmocka_unit_test(a_place_that_no_interface_has_is_refused),
        cmocka_unit_test(an_interface_name_that_the_kernel_would_not_take_is_refused),
        cmocka_unit_test(a_sentence_with_control_characters_is_refused),
        cmocka_unit_test(short_orders_cross_unchanged),
        cmocka_unit_test(a_new_path_crosses_unchanged_and_is_refused_cut_short),
        cmocka_unit_test(a_path_that_mixes_families_or_has_no_port_or_no_room_is_refused),
        cmocka_unit_test(an_order_cut_short_anywhere_is_refused),
        cmocka_unit_test(an_octet_too_many_is_refused),
        cmocka_unit_test(an_unknown_order_is_refused),
        cmocka_unit_test(an_sa_with_a_suite_or_key_size_of_no_profile_is_refused),
        cmocka_unit_test(answers_cross_unchanged),
        cmocka_unit_test(events_cross_unchanged),
        cmocka_unit_test(an_order_is_received_with_its_descriptor_and_wiped_where_it_stood),
        cmocka_unit_test(an_inner_address_of_another_size_or_prefix_is_refused),
        cmocka_unit_test(a_data_plane_of_another_kind_is_refused),
        cmocka_unit_test(a_path_mtu_below_what_every_host_takes_is_refused),
        cmocka_unit_test(selectors_of_another_type_or_number_are_refused),
        cmocka_unit_test(an_address_of_another_family_is_refused),
        cmocka_unit_test(a_sentence_without_room_for_its_end_is_refused),
        cmocka_unit_test(an_answer_to_no_order_or_of_no_error_is_refused),
        cmocka_unit_test(a_data_plane_that_has_become_nothing_is_refused),
        cmocka_unit_test(a_report_of_another_kind_or_with_an_octet_too_many_is_refused),
        cmocka_unit_test(the_fuzzers_seeds_are_what_is_read),
    };

    seeds = seeds_folder(argc, argv);
    return cmocka_run_group_tests(tests, setup, NULL);
}
