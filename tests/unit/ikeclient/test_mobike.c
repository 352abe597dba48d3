/* Both ends' other addresses: told, taken, and gone to when the path in use is dead (RFC 4555). */
#include "ikeclient/ike_sa_internal.h"
#include "ikeclient/liveness.h"
#include "ikeclient/mobike.h"

#include "base/log.h"
#include "ikeclient/proposals.h"
#include "stage.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char other_address[] = "127.0.0.2", third_address[] = "127.0.0.3";

typedef struct Fixture {
    Stage stage;
    Config config;
    IkeSa *sa;
    int other_fd; /* the SeGW's second address */
    sd_event_source *other_io;
    bool dead, other_dead; /* nothing comes through to the first, or the second one */
    unsigned at_other;     /* datagrams there */
    unsigned asked;        /* INFORMATIONAL requests at the first, of those that it answers */
    bool sees;             /* it says in its answers where it sees the HeNB, … */
    bool sees_anything;    /* … and each time something else */
    uint8_t seen;          /* that it is */
    bool lies;             /* the second one answers what was never sent to it, … */
    bool hasty;            /* … at once, and not when the first does not answer */
    bool established, closed, renewed, moved;
    const char *inner; /* another connection's inner address; NULL: there is none */
} Fixture;

static Fixture f;

static void on_established(void *userdata, IkeSa *sa)
{
    (void)userdata, (void)sa;
    f.established = true;
}

static void on_closed(void *userdata, IkeSa *sa, IkeSaEnd end, const char *reason)
{
    (void)userdata, (void)sa, (void)end, (void)reason;
    f.closed = true;
}

static void on_renew(void *userdata, IkeSa *sa, const char *reason)
{
    (void)userdata, (void)sa, (void)reason;
    f.renewed = true;
}

static void on_told(void *userdata, IkeSa *sa)
{
    (void)userdata, (void)sa;
}

static void on_changed(void *userdata, IkeSa *sa)
{
    (void)userdata, (void)sa;
    f.moved = f.stage.updates > 0;
}

static bool on_is_inner(void *userdata, const Endpoint *address)
{
    (void)userdata;
    if (!f.inner)
        return false;
    const Endpoint inner = endpoint_of(f.inner, 0);
    return bytes_equal(endpoint_address(&inner), endpoint_address(address));
}

static const IkeSaHandlers handlers = {.agreed = on_told,
                                       .authentic = on_told,
                                       .established = on_established,
                                       .renew = on_renew,
                                       .changed = on_changed,
                                       .is_inner = on_is_inner,
                                       .closed = on_closed};

/* ---- the SeGW at two addresses ---- */

static void answer_by(int fd, Bytes datagram)
{
    const int own = f.stage.nat_fd;

    f.stage.nat_fd = fd;
    stage_segw(&f.stage, datagram);
    f.stage.nat_fd = own;
}

/* To any request, with NAT_DETECTION_DESTINATION_IP alone. */
static void answer_what_is_seen(const IkeHeader *header)
{
    uint8_t hash[NAT_HASH_SIZE] = {0};
    Draft draft;

    f.seen += f.sees_anything;
    hash[0] = f.seen;
    draft_begin(&draft);
    ike_chain_add_notify(&draft.chain, IKE_NOTIFY_NAT_DETECTION_DESTINATION_IP, BYTES_OF(hash));
    stage_send_sealed(&f.stage, IKE_INFORMATIONAL, true, header->message_id, &draft);
}

static int on_other(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    enum { MARKER_SIZE = 4 };
    uint8_t octets[4096];
    socklen_t size = sizeof(f.stage.henb);
    (void)source, (void)events, (void)userdata;

    ssize_t n = recvfrom(fd, octets, sizeof(octets), MSG_DONTWAIT, &f.stage.henb.any, &size);
    assert_true(n > MARKER_SIZE);
    f.at_other++;
    f.stage.henb_floated = true;
    if (!f.other_dead)
        answer_by(fd, (Bytes){octets + MARKER_SIZE, (size_t)n - MARKER_SIZE});
    return 0;
}

static void segw_at_first(Stage *stage, Bytes datagram)
{
    Endpoint segw = endpoint_of("127.0.0.1", stage->port);
    IkeHeader header;
    Draft draft;

    assert_int_equal(ike_header_decode(datagram, &header), 0);
    const bool asks =
        header.exchange_type == IKE_INFORMATIONAL && !(header.flags & IKE_FLAG_RESPONSE);
    f.asked += asks;
    if (asks && f.sees) {
        answer_what_is_seen(&header);
    } else if (header.exchange_type == IKE_SA_INIT) {
        stage_send(stage, draft_init_response(&draft, stage->ike_offer, header.spi_i,
                                              IKE_GROUP_ECP_256, &segw, &stage->henb));
    } else if (f.lies && (f.hasty || retransmit_is_late(&f.sa->tasks.retransmit))) {
        answer_by(f.other_fd, datagram);
    } else if (!f.dead) {
        stage_segw(stage, datagram);
    }
}

static void open_other(void)
{
    const Endpoint other = endpoint_of(other_address, f.stage.nat_port);

    f.other_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f.other_fd, &other.any, endpoint_size(&other)), 0);
    assert_true(sd_event_add_io(f.stage.event, &f.other_io, f.other_fd, 1, on_other, NULL) >= 0);
}

static int setup(void **state)
{
    char problem[PROPOSALS_PROBLEM_SIZE];
    (void)state;

    memset(&f, 0, sizeof(f));
    log_set_level(LOG_CRIT);
    assert_int_equal(stage_setup(&f.stage), 0);
    assert_int_equal(config_init(&f.config), 0);
    assert_int_equal(proposals_parse("aes128gcm16-prfsha256-ecp256", IKE_PROTOCOL_IKE,
                                     &f.config.ike_offer, problem),
                     0);
    f.config.retransmit_timeout = 50;
    f.config.retransmit_tries = 5;
    f.config.nat_t_port = f.stage.nat_port;
    f.stage.ike_offer = &f.config.ike_offer;
    f.stage.esp_offer = &f.config.esp_offer;
    f.stage.mobike = true;
    f.stage.segw = segw_at_first;
    open_other();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (f.sa)
        ike_sa_free(f.sa);
    config_deinit(&f.config);
    sd_event_source_unref(f.other_io);
    (void)close(f.other_fd);
    stage_teardown(&f.stage);
    return 0;
}

static void establish(void)
{
    const Endpoint segw = endpoint_of("127.0.0.1", f.stage.port);

    assert_int_equal(
        ike_sa_new(f.stage.event, &f.stage.tre, &f.config, &segw, true, &handlers, NULL, &f.sa), 0);
    ike_sa_start(f.sa);
    stage_run_until(&f.stage, &f.established);
}

static void establish_with(const char *address)
{
    const Endpoint other = endpoint_of(address, 0);

    addresses_add(&f.stage.others, &other);
    establish();
}

static bool is_at(const char *address)
{
    const Endpoint expected = endpoint_of(address, 0);

    return bytes_equal(endpoint_address(transport_remote(f.sa->transport)),
                       endpoint_address(&expected));
}

/* The SeGW has these now, where `text` is none or one, and says so from its first address. */
static void say(const char *address)
{
    static uint32_t message_id;
    Addresses now = {0};
    Draft draft;

    draft_begin(&draft);
    if (address) {
        const Endpoint other = endpoint_of(address, 0);
        addresses_add(&now, &other);
        addresses_write(&now, &draft.chain);
    } else {
        ike_chain_add_notify(&draft.chain, IKE_NOTIFY_NO_ADDITIONAL_ADDRESSES, (Bytes){0});
    }
    if (!f.sa->peer.answered)
        message_id = 0;
    stage_send_sealed(&f.stage, IKE_INFORMATIONAL, false, message_id++, &draft);
}

static void tell(const char *address)
{
    say(address);
    stage_settle(&f.stage);
}

/* ---- the SeGW's ---- */

static void a_dead_path_is_left_for_another_address_of_the_segw(void **state)
{
    (void)state;
    establish_with(other_address);
    f.dead = true;
    ike_sa_check_liveness(f.sa);
    stage_run_until(&f.stage, &f.moved);
    assert_true(is_at(other_address));
    assert_int_equal(f.stage.updates, 1);
    assert_true(f.stage.update_fits);
    assert_int_equal(f.stage.done[TRE_MOVE_TRANSPORT], 1);
    assert_false(f.closed || f.renewed);
}

/* Where the route to it leaves from another address than the one in use. */
static void it_is_tried_from_the_address_that_leads_there(void **state)
{
    (void)state;
    f.stage.shared_address = "127.0.0.5";
    establish_with(other_address);
    f.stage.shared_address = "127.0.0.1";
    f.dead = true;
    ike_sa_check_liveness(f.sa);
    stage_run_until(&f.stage, &f.moved);
    assert_true(is_at(other_address));
    assert_true(f.stage.update_fits);
}

static void one_that_is_left_is_gone_back_to(void **state)
{
    (void)state;
    establish_with(other_address);
    f.dead = true;
    ike_sa_check_liveness(f.sa);
    stage_run_until(&f.stage, &f.moved);
    f.dead = false;
    f.other_dead = true;
    f.moved = false;
    ike_sa_check_liveness(f.sa);
    stage_run_until(&f.stage, &f.moved);
    assert_true(is_at("127.0.0.1"));
    assert_false(f.closed);
}

static void a_path_that_is_not_dead_is_kept(void **state)
{
    (void)state;
    establish_with(other_address);
    ike_sa_check_liveness(f.sa);
    stage_settle(&f.stage);
    assert_int_equal(f.at_other, 0);
    assert_true(is_at("127.0.0.1"));
}

/* Only the SeGW's address in a list of its own makes an answer from there a path. */
static void an_answer_from_an_address_that_was_not_named_moves_nothing(void **state)
{
    (void)state;
    establish_with(third_address);
    f.dead = f.lies = true;
    ike_sa_check_liveness(f.sa);
    while (f.sa->tasks.first)
        stage_turn(&f.stage);
    stage_settle(&f.stage);
    assert_false(f.closed);
    assert_true(is_at("127.0.0.1"));
    assert_int_equal(stage_count(&f.stage, TRE_MOVE_TRANSPORT), 0);
}

static void an_answer_before_there_was_doubt_moves_nothing(void **state)
{
    (void)state;
    establish_with(other_address);
    f.lies = f.hasty = true;
    ike_sa_check_liveness(f.sa);
    stage_settle(&f.stage);
    assert_false(f.sa->tasks.first);
    assert_true(is_at("127.0.0.1"));
}

static void without_mobike_no_other_address_is_tried(void **state)
{
    (void)state;
    f.stage.mobike = false;
    establish_with(other_address);
    f.dead = true;
    ike_sa_check_liveness(f.sa);
    stage_run_until(&f.stage, &f.closed);
    assert_int_equal(f.at_other, 0);
}

static void an_address_that_the_segw_tells_later_is_tried(void **state)
{
    (void)state;
    establish();
    tell(other_address);
    f.dead = true;
    ike_sa_check_liveness(f.sa);
    stage_run_until(&f.stage, &f.moved);
    assert_true(is_at(other_address));
}

static void an_address_that_the_segw_takes_back_is_tried_no_more(void **state)
{
    (void)state;
    establish_with(other_address);
    tell(NULL);
    f.dead = true;
    ike_sa_check_liveness(f.sa);
    stage_run_until(&f.stage, &f.closed);
    assert_int_equal(f.at_other, 0);
}

/* It says so from its second address, and names no other. */
static void an_sa_leaves_an_address_that_the_segw_has_no_more(void **state)
{
    const int own = f.stage.nat_fd;
    (void)state;

    establish_with(other_address);
    f.stage.nat_fd = f.other_fd;
    f.sa->next_hint = UINT64_MAX; /* whether it is where it was is not asked now */
    tell(NULL);
    f.stage.nat_fd = own;
    assert_true(is_at(other_address));
    assert_int_equal(f.stage.updates, 1);
}

/* Whoever is on the path sends what the SeGW has sent from where he is. */
static void what_comes_from_an_address_that_was_never_named_moves_nothing(void **state)
{
    const int own = f.stage.nat_fd;
    const Endpoint stranger = endpoint_of(other_address, 0);
    (void)state;

    establish();
    f.stage.nat_fd = f.other_fd;
    f.sa->next_hint = UINT64_MAX; /* whether it is where it was is not asked now */
    tell(third_address);
    tell(NULL);
    f.stage.nat_fd = own;
    assert_true(is_at("127.0.0.1"));
    assert_int_equal(stage_count(&f.stage, TRE_MOVE_TRANSPORT), 0);
    assert_false(addresses_have(&f.sa->segws, &stranger));
    assert_true(addresses_have(&f.sa->segws, transport_remote(f.sa->transport)));
}

static void more_addresses_than_are_kept_move_nothing(void **state)
{
    Addresses many = {0};
    (void)state;

    establish();
    for (unsigned i = 0; i < ADDRESSES_MAX; i++) {
        char text[] = "127.0.1.1";
        text[sizeof(text) - 2] = (char)('1' + i);
        const Endpoint one = endpoint_of(text, 0);
        addresses_add(&many, &one);
    }
    mobike_take_addresses(f.sa, &many, transport_remote(f.sa->transport));
    stage_settle(&f.stage);
    assert_true(is_at("127.0.0.1"));
    assert_int_equal(stage_count(&f.stage, TRE_MOVE_TRANSPORT), 0);
}

/* ---- where it asks from ---- */

/* Requests that the SeGW had from us in all once it has asked something from there. */
static unsigned asked_after_a_request_from(int fd)
{
    const int own = f.stage.nat_fd;

    f.stage.nat_fd = fd;
    say(NULL);
    f.stage.nat_fd = own;
    stage_settle(&f.stage);
    return f.asked;
}

static void a_segw_that_asks_from_elsewhere_is_asked_once_for_each_change(void **state)
{
    (void)state;
    establish();
    assert_int_equal(asked_after_a_request_from(f.other_fd), 1);
    f.sa->next_hint = 0; /* it is not as strangers' hints have used up their turn */
    assert_int_equal(asked_after_a_request_from(f.other_fd), 1);
    assert_int_equal(asked_after_a_request_from(f.stage.nat_fd), 1);
    assert_int_equal(asked_after_a_request_from(f.other_fd), 2);
}

static void that_it_asks_from_elsewhere_is_not_forgotten_where_a_stranger_had_the_turn(void **state)
{
    (void)state;
    establish();
    ike_sa_network_error(f.sa, ECONNREFUSED);
    stage_settle(&f.stage);
    assert_int_equal(asked_after_a_request_from(f.other_fd), 1);
    f.sa->next_hint = 0;
    assert_int_equal(asked_after_a_request_from(f.other_fd), 2);
    f.sa->next_hint = 0;
    assert_int_equal(asked_after_a_request_from(f.other_fd), 2);
}

/* ---- where it sees us ---- */

static unsigned asked_by_a_check(void)
{
    const unsigned before = f.asked;

    ike_sa_check_liveness(f.sa);
    stage_settle(&f.stage);
    return f.asked - before;
}

static void establish_behind_a_nat(void)
{
    f.stage.data_plane = "user";
    f.sees = true;
    establish();
    assert_int_equal(asked_by_a_check(), 1);
}

static void each_new_mapping_of_a_nats_is_followed(void **state)
{
    (void)state;
    establish_behind_a_nat();
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(asked_by_a_check(), 1);
        f.seen++;
        assert_int_equal(asked_by_a_check(), 2); /* and UPDATE_SA_ADDRESSES */
    }
    assert_false(f.closed || f.renewed);
}

static void a_segw_that_sees_us_elsewhere_each_time_is_asked_for_that_no_more(void **state)
{
    (void)state;
    f.sees_anything = true;
    establish_behind_a_nat();
    assert_int_equal(asked_by_a_check(), 2);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(asked_by_a_check(), 1);
    assert_false(nat_mapping_is_asked(f.sa));
    assert_false(f.closed || f.renewed);
}

/* ---- ours ---- */

static void addresses_that_the_segw_knows_are_not_told_again(void **state)
{
    (void)state;
    establish();
    ike_sa_look_around(f.sa);
    stage_settle(&f.stage);
    assert_int_equal(f.stage.times_told, 0);
    assert_true(addresses_equal(&f.stage.henbs, &f.sa->own));
}

static void addresses_that_have_changed_are_told(void **state)
{
    const Endpoint gone = endpoint_of("192.0.2.77", 0);
    (void)state;

    establish();
    const Addresses now = f.sa->own;
    f.sa->own.count -= f.sa->own.count == ADDRESSES_MAX;
    addresses_add(&f.sa->own, &gone);
    ike_sa_look_around(f.sa);
    stage_settle(&f.stage);
    assert_int_equal(f.stage.times_told, 1);
    assert_true(addresses_equal(&f.stage.henbs, &now));
    ike_sa_look_around(f.sa);
    stage_settle(&f.stage);
    assert_int_equal(f.stage.times_told, 1);
}

static void a_segw_without_mobike_is_told_nothing(void **state)
{
    const Endpoint gone = endpoint_of("192.0.2.77", 0);
    (void)state;

    f.stage.mobike = false;
    establish();
    addresses_add(&f.sa->own, &gone);
    ike_sa_look_around(f.sa);
    stage_settle(&f.stage);
    assert_int_equal(f.stage.times_told, 0);
}

/* The SeGW is reached from another address than the one in use, which is that of a tunnel to
 * another SeGW. */
static void establish_stranded(bool mobike)
{
    f.stage.mobike = mobike;
    f.stage.shared_address = "127.0.0.5";
    establish();
    f.stage.shared_address = f.inner = "127.0.0.1";
}

static void an_sa_does_not_move_into_another_connections_tunnel(void **state)
{
    (void)state;
    establish_stranded(true);
    ike_sa_look_around(f.sa);
    stage_settle(&f.stage);
    assert_int_equal(stage_count(&f.stage, TRE_MOVE_TRANSPORT), 0);
    assert_false(f.renewed || f.closed);
    f.inner = NULL; /* an address of this host's own, in the end */
    ike_sa_look_around(f.sa);
    stage_settle(&f.stage);
    assert_int_equal(f.stage.done[TRE_MOVE_TRANSPORT], 1);
}

/* tred moves so many at a time; whoever has waited for the fortieth turn authenticates anew. */
static void an_sa_waits_forty_times_for_its_turn_to_move(void **state)
{
    enum { TURNS = 40 };
    (void)state;

    establish();
    f.stage.refuse[TRE_MOVE_TRANSPORT] = "OutOfResources";
    f.sa->move.waits = TURNS - 1; /* those before were in vain */
    mobike_move(f.sa);
    while (!f.renewed && stage_count(&f.stage, TRE_MOVE_TRANSPORT) < 3)
        stage_turn(&f.stage);
    assert_true(f.renewed);
    assert_int_equal(stage_count(&f.stage, TRE_MOVE_TRANSPORT), 2);
    assert_int_equal(f.sa->move.waits, 0); /* the next move has all its turns */
    assert_false(f.sa->move.under_way);
}

static void without_mobike_no_other_sa_is_made_in_another_connections_tunnel(void **state)
{
    (void)state;
    establish_stranded(false);
    ike_sa_look_around(f.sa);
    assert_false(f.renewed);
    f.inner = NULL;
    ike_sa_look_around(f.sa);
    assert_true(f.renewed);
}

static void an_address_of_the_segw_that_only_a_tunnel_leads_to_is_not_tried(void **state)
{
    (void)state;
    f.stage.shared_address = "127.0.0.5";
    establish_with(other_address);
    f.stage.shared_address = f.inner = "127.0.0.1";
    f.dead = true;
    ike_sa_check_liveness(f.sa);
    stage_run_until(&f.stage, &f.closed);
    assert_int_equal(f.at_other, 0);
}

/* Looks around, and says how many times that there is no address was said meanwhile. */
static unsigned look(unsigned times)
{
    char said[4096] = "";
    unsigned count = 0;
    FILE *file = tmpfile();
    const int kept = dup(STDERR_FILENO);

    assert_non_null(file);
    assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
    log_set_level(LOG_INFO);
    for (unsigned i = 0; i < times; i++)
        ike_sa_look_around(f.sa);
    log_set_level(LOG_CRIT);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    (void)close(kept);
    rewind(file);
    assert_true(fread(said, 1, sizeof(said) - 1, file) < sizeof(said) - 1);
    (void)fclose(file);
    for (const char *at = said; (at = strstr(at, "waiting for one")); at++)
        count++;
    return count;
}

static void that_there_is_none_but_an_inner_address_is_said_once(void **state)
{
    (void)state;
    establish_stranded(false);
    assert_int_equal(look(3), 1);
    assert_int_equal(look(1), 0);
    f.inner = NULL;
    assert_int_equal(look(1), 0);
    f.inner = "127.0.0.1";
    assert_int_equal(look(2), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_dead_path_is_left_for_another_address_of_the_segw),
        TEST(it_is_tried_from_the_address_that_leads_there),
        TEST(one_that_is_left_is_gone_back_to),
        TEST(a_path_that_is_not_dead_is_kept),
        TEST(an_answer_from_an_address_that_was_not_named_moves_nothing),
        TEST(an_answer_before_there_was_doubt_moves_nothing),
        TEST(without_mobike_no_other_address_is_tried),
        TEST(what_comes_from_an_address_that_was_never_named_moves_nothing),
        TEST(more_addresses_than_are_kept_move_nothing),
        TEST(an_address_that_the_segw_tells_later_is_tried),
        TEST(an_address_that_the_segw_takes_back_is_tried_no_more),
        TEST(an_sa_leaves_an_address_that_the_segw_has_no_more),
        TEST(a_segw_that_asks_from_elsewhere_is_asked_once_for_each_change),
        TEST(that_it_asks_from_elsewhere_is_not_forgotten_where_a_stranger_had_the_turn),
        TEST(each_new_mapping_of_a_nats_is_followed),
        TEST(a_segw_that_sees_us_elsewhere_each_time_is_asked_for_that_no_more),
        TEST(addresses_that_the_segw_knows_are_not_told_again),
        TEST(addresses_that_have_changed_are_told),
        TEST(a_segw_without_mobike_is_told_nothing),
        TEST(an_sa_does_not_move_into_another_connections_tunnel),
        TEST(an_sa_waits_forty_times_for_its_turn_to_move),
        TEST(without_mobike_no_other_sa_is_made_in_another_connections_tunnel),
        TEST(an_address_of_the_segw_that_only_a_tunnel_leads_to_is_not_tried),
        TEST(that_there_is_none_but_an_inner_address_is_said_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
